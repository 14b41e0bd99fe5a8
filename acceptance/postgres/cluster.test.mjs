// A PostgreSQL of its own: TLS to it, its outage, its crash, and how soon one node hears of another's change.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Cluster } from '../lib/cluster.mjs';
import { Grantry } from '../lib/grantry.mjs';
import { pause, until } from '../lib/process.mjs';
import { KEYS, PROJECT, TEAM, world } from '../lib/world.mjs';

const connector = (id) => ({
  id,
  uid: `oauth/${id.replaceAll('_', '-')}`,
  team: TEAM,
  name: id,
  type: 'oauth',
  data: {
    clientId: 'cid',
    clientSecret: 'secret',
    serverConfig: { authorization_endpoint: 'https://p.example.com/a', token_endpoint: 'https://p.example.com/t' },
    userAuthorization: { enabled: true },
  },
  links: [{ project: PROJECT, environments: ['production'] }],
});

const imported = (subject, token = `token of ${subject}`) => ({
  connector: 'scl_cluster',
  subject: { type: 'user', id: subject },
  name: subject,
  access_token: token,
  expires_in: 86_400,
});

const who = (id) => ({ key: KEYS.workload, subject: { type: 'user', id } });

let databases = 0;
async function database(cluster) {
  const name = `grantry_${databases++}`;
  await cluster.sql(`CREATE DATABASE ${name}`);
  return name;
}

describe('with a PostgreSQL of its own', () => {
  let cluster;
  before(async () => (cluster = await Cluster.start()));
  after(() => cluster?.stop());

  describe('TLS', () => {
    /** Starts a server and gives it, or what it said when it would not start. */
    async function open(options) {
      const databaseUrl = cluster.url({ database: await database(cluster), ...options });
      return Grantry.start(undefined, { databaseUrl }).catch((error) => error.message);
    }
    const encrypted = () =>
      cluster.sql(`SELECT DISTINCT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                   WHERE application_name = 'grantry'`);

    for (const [what, options, tls] of [
      ['disable is in clear', { parameters: 'sslmode=disable' }, 'f'],
      ['nothing said encrypts where the server can', {}, 't'],
      ['require asks for no name', { host: '127.0.0.1', parameters: 'sslmode=require' }, 't'],
      ['require with an authority believes whom it vouches for', { host: '127.0.0.1', parameters: 'sslmode=require&sslrootcert=CA' }, 't'],
      ['verify-ca believes whom the authority vouches for', { host: '127.0.0.1', parameters: 'sslmode=verify-ca&sslrootcert=CA' }, 't'],
      ['verify-full believes the host of the URL', { parameters: 'sslmode=verify-full&sslrootcert=CA' }, 't'],
    ])
      it(what, async () => {
        const parameters = options.parameters?.replace('CA', encodeURIComponent(cluster.caFile));
        const server = await open({ ...options, parameters });
        assert.ok(server instanceof Grantry, `${server}`);
        assert.equal(await encrypted(), tls);
        await server.stop();
      });

    for (const [what, options] of [
      ['verify-full refuses another name', { host: '127.0.0.1', parameters: 'sslmode=verify-full&sslrootcert=CA' }],
      ['verify-full refuses a stranger', { parameters: 'sslmode=verify-full&sslrootcert=OTHER' }],
      ['verify-ca refuses a stranger', { parameters: 'sslmode=verify-ca&sslrootcert=OTHER' }],
      ['the system vouches for no test', { parameters: 'sslmode=verify-full' }],
    ])
      it(what, async () => {
        const parameters = options.parameters
          .replace('CA', encodeURIComponent(cluster.caFile))
          .replace('OTHER', encodeURIComponent(cluster.otherCaFile));
        const said = await open({ ...options, parameters });
        assert.match(`${said}`, /ended \(4\)/);
        assert.match(`${said}`, /certificate/i);
      });

    it('a client certificate is shown where it is given', async () => {
      await cluster.sql('CREATE ROLE certified SUPERUSER LOGIN');
      const file = (name) => encodeURIComponent(path.join(cluster.folder, name));
      const own = `&sslcert=${file('client.pem')}&sslkey=${file('client.key')}`;
      const parameters = `sslmode=verify-full&sslrootcert=${encodeURIComponent(cluster.caFile)}`;
      const server = await open({ user: 'certified', parameters: parameters + own });
      assert.ok(server instanceof Grantry, `${server}`);
      const shown = await cluster.sql(`SELECT DISTINCT client_dn FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                                       WHERE usename = 'certified'`);
      assert.equal(shown, '/CN=certified');
      await server.stop();
    });
  });

  describe('three nodes', () => {
    const nodes = [];
    before(async () => {
      const document = world({ connectors: [connector('scl_cluster')] });
      nodes.push(await Grantry.start(document, { databaseUrl: cluster.url({ database: await database(cluster) }) }));
      nodes.push(...(await Promise.all([nodes[0].another(), nodes[0].another()])));
    });
    after(() => Promise.all(nodes.map((node) => node.stop())));

    const importing = (node, subject) =>
      node.call('POST', '/api/v1/connections', { key: KEYS.admin, body: imported(subject) });

    it('hear of each other within a moment by NOTIFY, and within two seconds without', async (test) => {
      const latency = async (round) => {
        const subject = who(`noticed-${round}`);
        assert.equal((await importing(nodes[0], subject.subject.id)).status, 201);
        for (const node of nodes) assert.equal((await node.token('scl_cluster', subject)).status, 200);
        const from = performance.now();
        assert.equal((await nodes[1].revoke('scl_cluster', { ...subject, key: KEYS.admin })).status, 200);
        const heard = nodes.map(async (node) => {
          while ((await node.token('scl_cluster', subject)).status !== 422) await pause(2);
          return performance.now() - from;
        });
        return Math.max(...(await Promise.all(heard)));
      };
      const rounds = async (names) => {
        const all = [];
        for (const name of names) all.push(await latency(name));
        return all.toSorted((one, two) => one - two);
      };
      const show = (times) => `median ${Math.round(times[times.length >> 1])} ms, most ${Math.round(times.at(-1))} ms`;
      const woken = await rounds(Array.from({ length: 15 }, (_, round) => `woken-${round}`));
      await Promise.all(nodes.map((node) => node.stop()));
      for (const node of nodes) node.env = { GRANTRY_DATABASE_NOTIFY: 'false' };
      await Promise.all(nodes.map((node) => node.serve()));
      const polled = await rounds(Array.from({ length: 15 }, (_, round) => `polled-${round}`));
      test.diagnostic(`a revocation is refused by all three nodes: with NOTIFY ${show(woken)}; by polling ${show(polled)}`);
      assert.ok(woken.at(-1) < 2000 && polled.at(-1) < 2000);
      assert.ok(woken[7] < polled[7], 'NOTIFY is of no use');
    });

    it('lose no write and answer no 5xx while they write the same rows', async () => {
      const each = 40;
      const writes = nodes.flatMap((node, at) =>
        Array.from({ length: each }, (_, number) => importing(node, `load-${at}-${number}`)),
      );
      // One name for all: exactly one import of it is new (201), and the others are shown what stands (200).
      const same = nodes.flatMap((node) => Array.from({ length: 10 }, () => importing(node, 'contended')));
      const statuses = (await Promise.all(writes)).map(({ status }) => status);
      assert.deepEqual(statuses, statuses.map(() => 201));
      const contended = (await Promise.all(same)).map(({ status }) => status);
      assert.deepEqual(contended.toSorted(), [...Array(contended.length - 1).fill(200), 201]);
      const kept = await nodes[2].call('GET', '/api/v1/connections?limit=1', { key: KEYS.admin });
      assert.equal(kept.status, 200);
      for (const [at, node] of nodes.entries()) {
        const answers = Array.from({ length: each }, (_, number) =>
          nodes[(at + 1) % 3].token('scl_cluster', who(`load-${at}-${number}`)),
        );
        for (const { status } of await Promise.all(answers)) assert.equal(status, 200, node.url);
      }
    });

    for (const [what, strike, mend] of [
      ['every process of the database is killed', () => cluster.killBackends(), () => {}],
      ['the database is stopped and started', () => cluster.stop(), () => cluster.serve()],
    ])
      it(`refuse with 503 and Retry-After when ${what}, and recover by themselves`, async () => {
        const answered = [];
        let going = true;
        let number = 0;
        const callers = nodes.map(async (node, at) => {
          while (going) {
            const subject = `${what}-${at}-${number++}`;
            const answer = await importing(node, subject);
            answered.push({ subject, status: answer.status, retry: answer.headers.get('retry-after') });
          }
        });
        await until(() => answered.length > 30, 'writes are under way');
        await strike();
        const struck = answered.length;
        await until(() => answered.slice(struck).some(({ status }) => status === 503), 'the outage is noticed');
        const noticed = answered.length;
        await mend();
        await until(() => nodes.every((_, at) => answered.slice(noticed).some(({ subject, status }) =>
          subject.startsWith(`${what}-${at}-`) && status === 201)), 'all nodes write again', 30);
        going = false;
        await Promise.all(callers);
        for (const { status, retry } of answered) {
          assert.ok(status === 201 || status === 503, `${status}`);
          if (status === 503) assert.ok(Number(retry) >= 1, 'a 503 says when to come back');
        }
        // What was answered with 201 is there.
        const stood = answered.filter(({ status }) => status === 201).slice(0, struck);
        for (const { subject } of stood.slice(-20))
          assert.equal((await nodes[0].token('scl_cluster', who(subject))).status, 200, subject);
        for (const node of nodes) assert.equal((await fetch(`${node.url}/readyz`)).status, 200);
      });
  });
});
