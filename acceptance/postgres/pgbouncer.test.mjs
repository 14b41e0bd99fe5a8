// pgbouncer between a server and its PostgreSQL: what works, what is refused, and that it is said.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { Cluster } from '../lib/cluster.mjs';
import { BIN, Grantry } from '../lib/grantry.mjs';
import { Pooler } from '../lib/pooler.mjs';
import { Child, temporaryFolder, until } from '../lib/process.mjs';
import { KEYS, world } from '../lib/world.mjs';

const secret = (name) => ({ name, value: `value of ${name}` });

describe('behind pgbouncer', () => {
  let cluster, databases = 0;
  const started = [];
  before(async () => (cluster = await Cluster.start()));
  after(async () => {
    for (const part of started.toReversed()) await part.stop();
    await cluster?.stop();
  });

  /** A pooler and a new database behind it. */
  async function pooled(options) {
    const pooler = await Pooler.start(cluster, options);
    started.push(pooler);
    const name = `pooled_${databases++}`;
    await cluster.sql(`CREATE DATABASE ${name}`);
    return pooler.url(name);
  }

  const serve = async (databaseUrl, options = {}) => {
    const server = await Grantry.start(world(), { databaseUrl, ...options });
    started.push(server);
    return server;
  };
  const write = (server, name) => server.call('POST', '/api/v1/secrets', { key: KEYS.admin, body: secret(name) });

  it('in session mode everything works, and nodes wake each other', async () => {
    const nodes = [await serve(await pooled({ mode: 'session' }))];
    nodes.push(await nodes[0].another());
    started.push(nodes[1]);
    const names = Array.from({ length: 100 }, (_, number) => `name-${number}`);
    const written = await Promise.all(names.map((name, at) => write(nodes[at % 2], name)));
    assert.deepEqual([...new Set(written.map(({ status }) => status))], [201]);
    assert.doesNotMatch(nodes.map(({ child }) => child.output).join(), /no wake-up calls/);
    // A key that is revoked on one node is refused by the other.
    const { body } = await nodes[0].call('POST', '/api/v1/keys', { key: KEYS.admin, body: { name: 'short', role: 'member' } });
    const status = async () => (await nodes[1].call('GET', '/api/v1/connectors', { key: body.key })).status;
    assert.equal(await status(), 200);
    await nodes[0].call('DELETE', `/api/v1/keys/${body.id}`, { key: KEYS.admin });
    await until(async () => (await status()) === 401, 'the key is refused on the other node', 2);
  });

  for (const [mode, words] of [
    ['transaction', /Set pool_mode = session for this database/],
    // pgbouncer's own words.
    ['statement', /transaction blocks not allowed in statement pooling mode/],
  ])
    it(`in ${mode} mode a server does not start, and says why; doctor does too`, async () => {
      const databaseUrl = await pooled({ mode });
      const folder = temporaryFolder('pooled');
      writeFileSync(`${folder}/master.key`, `${Buffer.alloc(32, 7).map((_, at) => (at * 37) % 251).toString('base64')}\n`, { mode: 0o600 });
      const flags = ['--data-dir', `${folder}/data`, '--database-url', databaseUrl, '--master-key-file', `${folder}/master.key`];
      for (const args of [['serve', '--listen', '127.0.0.1:0', ...flags], ['doctor', '--offline', ...flags]]) {
        const child = new Child(BIN, args);
        const code = await child.exited;
        assert.equal(code, args[0] === 'serve' ? 4 : 1, child.output);
        assert.match(child.output, words, args[0]);
      }
    });

  it('whose pool is too small, requests hear so in seconds, not after its two minutes', async () => {
    const databaseUrl = await pooled({ mode: 'session', size: 3 });
    const server = await serve(cluster.url({ database: databaseUrl.split('/').at(-1) }));
    await server.stop();
    server.databaseUrl = databaseUrl;
    server.env = { GRANTRY_LIMITS_DATABASE_CONNECT_MAX: '1s', GRANTRY_LIMITS_DATABASE_WAIT_MAX: '1s' };
    await server.serve();
    const from = performance.now();
    const written = await Promise.all(Array.from({ length: 60 }, (_, number) => write(server, `crowd-${number}`)));
    const took = performance.now() - from;
    assert.ok(took < 20_000, `${took}`);
    const statuses = new Set(written.map(({ status }) => status));
    assert.ok(statuses.has(201), [...statuses].join());
    for (const { status } of written) assert.ok([201, 503].includes(status), `${status}`);
    if (statuses.has(503)) assert.match(server.child.output, /is its pool large enough\?/);
  });
});
