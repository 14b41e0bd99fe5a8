// The built binary, run as an operator would: its own data folder, its own port.
import { randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { Child, freePort, run, temporaryFolder } from './process.mjs';

export const BIN = process.env.GRANTRY_BIN ?? path.join(import.meta.dirname, '../../target/release/grantry');

/** Databases made by this process. */
let databases = 0;

export class Grantry {
  /**
   * Starts a server on an empty data folder and applies `document` (see world.mjs).
   * @param {{ databaseUrl?: string, env?: Record<string, string>, config?: string, publicUrl?: string }} settings an
   *   empty database to be on, settings as variables of the environment, more lines (TOML) of the configuration, an
   *   address other than its own
   */
  static async start(document, { databaseUrl, env, config = '', publicUrl } = {}) {
    const server = new Grantry(temporaryFolder('data'), await freePort());
    Object.assign(server, { env, publicUrl });
    appendFileSync(server.config, config);
    if (databaseUrl) server.#on(databaseUrl);
    else if (process.env.ACCEPTANCE_DATABASE === 'postgres') await server.#onPostgres();
    await server.serve();
    if (document) await server.apply(document);
    return server;
  }

  /** Starts one more node on this server's database; `settings` such as `publicUrl` go to it, `config` as in `start`. */
  async another({ config = '', ...settings } = {}) {
    const node = new Grantry(temporaryFolder('data'), await freePort());
    appendFileSync(node.config, config);
    Object.assign(node, { databaseUrl: this.databaseUrl, masterKey: this.masterKey, env: this.env, ...settings });
    await node.serve();
    return node;
  }

  constructor(folder, port) {
    this.folder = folder;
    this.dataDir = path.join(folder, 'data');
    this.address = `127.0.0.1:${port}`;
    this.url = `http://${this.address}`;
    /** What every provider must know as redirect URI. */
    this.callback = `${this.url}/callback`;
    this.config = path.join(folder, 'grantry.toml');
    // The providers of the tests live on loopback, which the way out refuses by default.
    writeFileSync(this.config, '[egress]\nallow = ["127.0.0.0/8"]\n');
    mkdirSync(this.dataDir, { mode: 0o700 });
  }

  /** Moves to a new database of the cluster that TEST_DATABASE_URL names. */
  async #onPostgres() {
    const name = `grantry_${process.pid}_${databases++}`;
    const cluster = process.env.TEST_DATABASE_URL;
    await run('psql', ['--quiet', '--no-psqlrc', cluster, '-c', `CREATE DATABASE ${name}`]);
    this.#on(cluster.replace(/[^/]*$/, name));
  }

  #on(databaseUrl) {
    this.databaseUrl = databaseUrl;
    this.masterKey = path.join(this.folder, 'master.key');
    writeFileSync(this.masterKey, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  }

  /** Starts (again, after a kill) on the same data and port. */
  async serve() {
    this.child = new Child(BIN, [
      'serve',
      ...['--config', this.config],
      ...['--listen', this.address],
      ...['--data-dir', this.dataDir],
      ...['--public-url', this.publicUrl ?? this.url],
      ...(this.databaseUrl ? ['--database-url', this.databaseUrl, '--master-key-file', this.masterKey] : []),
    ], { env: this.env });
    await this.child.until(async () => (await fetch(`${this.url}/readyz`).catch(() => null))?.ok);
  }

  stop() {
    return this.child.stop();
  }

  kill() {
    return this.child.kill();
  }

  /** Runs a command of the binary with the authority of the control socket. */
  command(...args) {
    return run(BIN, args, { env: { GRANTRY_DATA_DIR: this.dataDir } });
  }

  async apply(document) {
    const file = path.join(this.folder, 'apply.toml');
    writeFileSync(file, toml(document));
    return this.command('apply', '-f', file);
  }

  /** A token of the issuer for a workload of the project. */
  async workloadToken(project, environment) {
    return (await this.command('workload-token', '--project', project, '--environment', environment)).trim();
  }

  /** One HTTP call; `body` is sent as JSON. */
  async call(method, route, { key, body } = {}) {
    const answer = await fetch(this.url + route, {
      method,
      headers: {
        ...(key && { authorization: `Bearer ${key}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, text, body: json(text) };
  }

  /** D1 of the Vercel dialect: a token of `connector` for `subject`. */
  token(connector, { key, subject, ...rest }) {
    const route = `/v1/connect/token/${encodeURIComponent(connector)}`;
    return this.call('POST', route, { key, body: { subject, scopes: ['*'], ...rest } });
  }

  /** E1: a consent link for `subject`. */
  authorize(connector, { key, subject, ...rest }) {
    const route = `/v1/connect/authorize/${encodeURIComponent(connector)}`;
    return this.call('POST', route, { key, body: { subject, scopes: ['*'], ...rest } });
  }

  /** D3: revokes what `subject` granted. */
  revoke(connector, { key, subject }) {
    const route = `/v1/connect/connectors/${encodeURIComponent(connector)}/tokens`;
    return this.call('DELETE', route, { key, body: { subject } });
  }
}

function json(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** `{ table: [row, …] }` as arrays of tables. A JSON string is a TOML string. */
export function toml(document) {
  const inline = (value) => {
    if (Array.isArray(value)) return `[${value.map(inline).join(', ')}]`;
    if (typeof value !== 'object') return JSON.stringify(value);
    const fields = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)} = ${inline(item)}`);
    return `{ ${fields.join(', ')} }`;
  };
  const row = (table, fields) =>
    [`[[${table}]]`, ...Object.entries(fields).map(([key, value]) => `${key} = ${inline(value)}`)].join('\n');
  return Object.entries(document)
    .flatMap(([table, rows]) => rows.map((fields) => row(table, fields)))
    .join('\n\n');
}
