// Cohere's own clients, old and new, behind one interface: `ask(key, what, {snake_case})` gives plain snake_case
// values, or throws a `Refused`.
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';

const here = path.join(import.meta.dirname, '..');
const cache = path.join(here, '.cache/cohere');

/** How a client said no. */
export class Refused extends Error {
  constructor({ type, status, body }) {
    super(`${type} ${status}: ${JSON.stringify(body)}`);
    Object.assign(this, { type, status, body });
  }
}

const renamed = (value, rename) => {
  if (value instanceof Date) return value.toISOString();
  if (Array.isArray(value)) return value.map((item) => renamed(item, rename));
  if (typeof value !== 'object' || value === null) return value;
  const fields = Object.entries(value).filter(([, item]) => item !== undefined && item !== null);
  return Object.fromEntries(fields.map(([name, item]) => [rename(name), renamed(item, rename)]));
};
const camel = (name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase());
const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** 7.7.0 puts another one in its place. */
const { fetch } = globalThis;

/** npm cohere-ai. `at` is what its client is made with. */
export class Script {
  static async of(version, at, name = 'CohereClient') {
    const all = await import(`cohere-${version}`);
    globalThis.fetch = fetch;
    return new Script(all[name] ?? all.default[name], at);
  }

  constructor(Client, at) {
    Object.assign(this, { Client, at });
  }

  async ask(key, what, { id, ...rest } = {}) {
    const client = new this.Client({ token: key, ...this.at });
    const fields = renamed(rest, camel);
    const { connectors } = client;
    try {
      const value = await {
        list: () => connectors.list(fields),
        create: () => connectors.create(fields),
        get: () => connectors.get(id),
        update: () => connectors.update(id, fields),
        delete: () => connectors.delete(id),
        authorize: () => connectors.oAuthAuthorize(id, fields),
        check: () => client.checkApiKey(),
      }[what]();
      return renamed(value, snake);
    } catch (error) {
      throw new Refused({ type: error.constructor.name, status: error.statusCode, body: error.body ?? `${error.stack}` });
    } finally {
      globalThis.fetch = fetch;
    }
  }

  async stop() {}
}

/** PyPI cohere, in a process of its own. */
export class Python {
  constructor(version, base, kind = 'Client') {
    const libraries = [version, 'common'].map((name) => path.join(cache, name));
    this.child = spawn(python(), [path.join(here, 'cohere/client.py'), base, kind], {
      env: { ...process.env, PYTHONPATH: libraries.join(path.delimiter), PYTHONDONTWRITEBYTECODE: '1' },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.lines = readline.createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  async ask(key, what, fields = {}) {
    this.child.stdin.write(`${JSON.stringify({ key, do: what, with: fields })}\n`);
    const { value: line } = await this.lines.next();
    if (!line) throw new Error('the Python process ended');
    const answer = JSON.parse(line);
    if (answer.error) throw new Refused(answer.error);
    return answer.value;
  }

  async stop() {
    this.child.stdin.end();
    await new Promise((resolve) => this.child.once('close', resolve));
  }
}

/** The tests' own Python where `scripts/test` made one, else the machine's. */
function python() {
  const own = path.join(here, '.cache/venv/bin/python');
  return existsSync(own) ? own : 'python3';
}

/**
 * Installs the Python clients, and what cohere/requirements.txt says that they import, into folders of their own,
 * once. Gives why that is not possible; in CI it has to be.
 */
export function install(versions) {
  mkdirSync(cache, { recursive: true });
  const one = (name, ...what) => {
    const target = path.join(cache, name);
    const stamp = path.join(cache, `${name}.stamp`);
    const wanted = createHash('sha256').update(`${target}\n${what.join('\n')}`).digest('hex');
    if (existsSync(target) && existsSync(stamp) && readFileSync(stamp, 'utf8') === wanted) return '';
    rmSync(target, { recursive: true, force: true });
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-deps', '--root-user-action=ignore'];
    const done = spawnSync(python(), [...pip, '--target', target, ...what], { encoding: 'utf8' });
    if (done.status !== 0) return (done.error?.message ?? done.stderr).trim().split('\n').at(-1) || 'pip failed';
    writeFileSync(stamp, wanted);
    return '';
  };
  const pins = readFileSync(path.join(here, 'cohere/requirements.txt'), 'utf8')
    .split('\n')
    .filter((line) => line && !line.startsWith('#'));
  const why = [one('common', ...pins), ...versions.map((version) => one(version, `cohere==${version}`))].find(Boolean);
  if (why && process.env.CI) throw new Error(`the Python clients cannot be installed: ${why}`);
  return why && `the Python clients cannot be installed: ${why}`;
}
