// SIGTERM while much is under way at a provider that takes its time: what has begun is finished, nothing is lost.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Grantry } from './lib/grantry.mjs';
import { until } from './lib/process.mjs';
import { connect, expiry, served, user } from './lib/provider-suite.mjs';
import { DEMO, Sandbox } from './lib/sandbox.mjs';
import { Visitor } from './lib/visitor.mjs';
import { connectorOf, KEYS, RETURN_URL, world } from './lib/world.mjs';

const CONNECTOR = 'scl_stopped';
const USERS = Array.from({ length: 20 }, (_, number) => user(`u${number}`));
/** What a service manager gives a process before it kills it (packaging/grantry.service gives more). */
const STOPPED_WITHIN_MS = 30_000;

describe('a server that is told to stop', () => {
  let server, sandbox;
  before(async () => {
    server = await Grantry.start();
    sandbox = await Sandbox.start({ accessTtl: 5 });
    await server.apply(world(connectorOf(sandbox, { id: CONNECTOR, uid: 'sandbox/stopped', client: DEMO })));
  });
  after(async () => {
    await server?.stop();
    await sandbox?.stop();
  });

  /** SIGTERM, and what it came to: exit code and milliseconds. */
  async function stopped() {
    const from = performance.now();
    server.child.process.kill('SIGTERM');
    const code = await server.child.exited;
    return { code, took: performance.now() - from };
  }

  it('answers whoever it had let in, and keeps every refreshed pair', async () => {
    const grants = [];
    for (const who of USERS) grants.push(await connect(server, CONNECTOR, who));
    for (const grant of grants) await expiry(sandbox, grant);
    await sandbox.calm();
    await sandbox.play({ fault: 'late', seconds: 3, grant_type: 'refresh_token' });

    // Ten callers for each of twenty tokens that are being refreshed, and other requests all the while.
    const waiting = USERS.flatMap((who) => Array.from({ length: 10 }, () => server.token(CONNECTOR, who)));
    let going = true;
    const others = [];
    const caller = (async () => {
      while (going) {
        const answer = await server.call('GET', '/api/v1/connectors', { key: KEYS.admin }).catch((error) => error);
        others.push(answer);
        if (answer instanceof Error) break;
      }
    })();
    await until(async () => (await sandbox.stats()).requests.token >= USERS.length, 'all refreshes are under way');
    const { code, took } = await stopped();
    going = false;
    await caller;

    assert.equal(code, 0, server.child.output.slice(-2000));
    assert.ok(took < STOPPED_WITHIN_MS, `${took}`);
    assert.ok(took > 1000, 'it waited for the provider');
    const answers = await Promise.all(waiting);
    for (const { status, text } of answers) assert.equal(status, 200, text);
    // Whoever comes after the order finds the door closed: no answer, and never half a one.
    for (const answer of others)
      if (answer instanceof Error) assert.match(`${answer.cause?.code ?? answer.message}`, /ECONNREFUSED|ECONNRESET|UND_ERR_SOCKET/);
      else assert.equal(answer.status, 200);

    await server.serve();
    for (const [number, who] of USERS.entries()) {
      const { token } = await served(server, CONNECTOR, who);
      assert.notEqual(token, grants[number].token);
    }
    assert.equal((await sandbox.presentations()).filter(({ error }) => error).length, 0);
    assert.equal((await sandbox.stats()).families_killed_by_reuse, 0);
    await sandbox.calm();
  });

  it('brings home who is on the way back from the provider', async () => {
    const who = user('returning');
    const { body } = await server.authorize(CONNECTOR, { ...who, returnUrl: RETURN_URL });
    const visitor = new Visitor();
    const { page } = await visitor.open(body.url);
    const { arrived: callback } = await visitor.press(page, { stopAt: server.callback });
    await sandbox.play({ fault: 'late', seconds: 2, times: 1 });
    const before = (await sandbox.stats()).requests.token ?? 0;
    const back = visitor.open(callback.href, { stopAt: RETURN_URL });
    await until(async () => ((await sandbox.stats()).requests.token ?? 0) > before, 'the code is being redeemed');
    const { code } = await stopped();
    assert.equal(code, 0);
    const { arrived } = await back;
    assert.ok(arrived, 'the browser came home');
    await server.serve();
    assert.equal(await sandbox.honours((await served(server, CONNECTOR, who)).token), true);
  });

  it('does not wait for those who only listen, nor for idle connections', async () => {
    const since = new Date(Date.now() + 60_000).toISOString();
    let listens = true;
    const listening = server
      .call('GET', `/api/v1/events?wait_ms=10000&since=${encodeURIComponent(since)}`, { key: KEYS.admin })
      .finally(() => (listens = false));
    for (let request = 0; request < 20; request++) await server.call('GET', '/api/v1/connectors', { key: KEYS.admin });
    assert.ok(listens);
    const { code, took } = await stopped();
    assert.equal(code, 0);
    assert.ok(took < 5000, `${took}`);
    const { status, body } = await listening;
    assert.deepEqual([status, body.data], [200, []]);
    await server.serve();
  });
});
