// Child processes that never outlive the test that started them, and a test's own that does not outlive its tests.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { after } from 'node:test';
import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const alive = new Set();
const folders = new Set();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

// A test that fails may leave a listener behind, with which this process would wait for ever. By then the suite's own
// clearing up is long done.
if (process.env.NODE_TEST_CONTEXT) after(() => setTimeout(() => process.exit(), 60_000).unref());

/** A folder that is gone when this process is. */
export function temporaryFolder(name) {
  const folder = mkdtempSync(path.join(os.tmpdir(), `grantry-${name}-`));
  folders.add(folder);
  return folder;
}

/** A port that nothing listens on right now. */
export async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** A running command. `output` holds what it printed, the end of which explains a failure. */
export class Child {
  constructor(command, args, { env = {}, cwd } = {}) {
    this.name = path.basename(command);
    this.output = '';
    this.process = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    alive.add(this.process);
    this.exited = new Promise((resolve) => {
      this.process.once('error', (error) => resolve(`${error.message}`));
      this.process.once('close', (code, signal) => resolve(signal ?? code));
    }).finally(() => alive.delete(this.process));
    for (const stream of [this.process.stdout, this.process.stderr])
      stream.setEncoding('utf8').on('data', (text) => (this.output += text));
  }

  /** What `probe` gives once it gives something; fails when the command ends first or `seconds` pass. */
  async until(probe, seconds = 20) {
    let ended;
    this.exited.then((how) => (ended = { how }));
    for (const deadline = Date.now() + seconds * 1000; ; ) {
      const found = await probe();
      if (found) return found;
      if (ended) throw new Error(`${this.name} ended (${ended.how}):\n${this.output.slice(-4000)}`);
      if (Date.now() > deadline)
        throw new Error(`${this.name} not ready in ${seconds} s:\n${this.output.slice(-4000)}`);
      await pause(5);
    }
  }

  /** Asks it to end, insists after ten seconds, gives its exit code or signal. */
  async stop() {
    this.process.kill('SIGTERM');
    const insist = setTimeout(() => this.process.kill('SIGKILL'), 10_000);
    const how = await this.exited;
    clearTimeout(insist);
    return how;
  }

  /** kill -9. */
  async kill() {
    this.process.kill('SIGKILL');
    return this.exited;
  }
}

/** Runs a command to its end and gives its standard output; a non-zero exit is an error. */
export async function run(command, args, options) {
  const child = new Child(command, args, options);
  let stdout = '';
  child.process.stdout.on('data', (text) => (stdout += text));
  const how = await child.exited;
  if (how !== 0)
    throw new Error(`${child.name} ${args.join(' ')} ended (${how}):\n${child.output.slice(-4000)}`);
  return stdout;
}

/** Only ever between two looks at a condition. */
export const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Looks until `condition` holds. */
export async function until(condition, what, seconds = 20) {
  for (const deadline = Date.now() + seconds * 1000; !(await condition()); await pause(20))
    if (Date.now() > deadline) throw new Error(`not within ${seconds} s: ${what}`);
}
