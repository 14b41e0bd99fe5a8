// The `vercel` CLI, unmodified, alone with one server: its own home and configuration, no way out but loopback.
import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { temporaryFolder } from './process.mjs';

const CLI = path.join(import.meta.dirname, '../node_modules/vercel/dist/vc.js');

/** Nothing listens there: a request that is not meant for the server fails at once, and with it the command. */
const NOWHERE = 'http://127.0.0.1:9';

export class VercelCli {
  /** @param {{ url: string, token: string, scope: string, project?: { id: string, team: string, name: string } }} at */
  constructor({ url, token, scope, project }) {
    this.folder = temporaryFolder('vercel-cli');
    Object.assign(this, { url, token, scope });
    if (project) {
      mkdirSync(path.join(this.folder, '.vercel'));
      const link = { orgId: project.team, projectId: project.id, projectName: project.name };
      writeFileSync(path.join(this.folder, '.vercel/project.json'), JSON.stringify(link));
    }
  }

  /** Runs `vercel connect …`; its exit code and what it printed. */
  run(...args) {
    return this.#start(args).done;
  }

  /**
   * Starts `vercel connect …`, which goes on when somebody has been at the address that it prints.
   * @returns {{ address: Promise<string>, done: Promise<{ code: number, out: string, err: string }> }}
   */
  begin(...args) {
    const { child, done } = this.#start(args);
    const address = new Promise((found, failed) => {
      let err = '';
      child.stderr.on('data', (text) => {
        err += text;
        const [, url] = /visit:\s+(http\S+)/.exec(err) ?? [];
        if (url) found(url);
      });
      done.then(({ code, out, err: all }) => failed(new Error(`it ended (${code}) before it printed an address:\n${all}${out}`)));
    });
    return { address, done };
  }

  #start(args) {
    const all = ['connect', ...args, '--api', this.url, '--token', this.token, '--scope', this.scope];
    const env = {
      PATH: process.env.PATH,
      HOME: this.folder,
      CI: '1',
      NO_COLOR: '1',
      NO_UPDATE_NOTIFIER: '1',
      VERCEL_TELEMETRY_DISABLED: '1',
      VERCEL_USE_NATIVE_BINARY: '0',
      NODE_USE_ENV_PROXY: '1',
      HTTP_PROXY: NOWHERE,
      HTTPS_PROXY: NOWHERE,
      NO_PROXY: '127.0.0.1',
    };
    const argv = [CLI, ...all, '-Q', path.join(this.folder, 'config')];
    let child;
    const done = new Promise((ended) => {
      child = execFile(process.execPath, argv, { cwd: this.folder, env, timeout: 60_000 }, (error, out, err) =>
        ended({ code: error ? (error.code ?? 1) : 0, out, err }),
      );
      child.stdin.end();
    });
    return { child, done };
  }

  /** The same, for one that has to succeed: the JSON that it printed. */
  async json(...args) {
    const { code, out, err } = await this.run(...args, '--format=json');
    if (code !== 0) throw new Error(`vercel connect ${args.join(' ')} ended (${code}):\n${err}${out}`);
    return JSON.parse(out);
  }
}
