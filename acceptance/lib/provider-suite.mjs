// What must hold with every real identity provider.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Grantry } from './grantry.mjs';
import { CLIENTS, Peer } from './peers.mjs';
import { until } from './process.mjs';
import { Visitor } from './visitor.mjs';
import { connectorOf, KEYS, RETURN_URL, world } from './world.mjs';

/** Long enough for a burst of requests to meet one token, short enough to wait for its end. */
const ACCESS_TOKEN_TTL_S = 5;

export const user = (id) => ({ key: KEYS.workload, subject: { type: 'user', id } });

/** Consents as `who`, from the link to the way back; gives what is served then. */
export async function connect(server, connector, who) {
  const started = await server.authorize(connector, { ...who, returnUrl: RETURN_URL });
  assert.equal(started.status, 200, started.text);
  await new Visitor().connect(started.body.url, RETURN_URL);
  return served(server, connector, who);
}

/** The token answer of the Vercel dialect; it must be there. */
export async function served(server, connector, who) {
  const answer = await server.token(connector, who);
  assert.equal(answer.status, 200, answer.text);
  return answer.body;
}

/** Waits until the token is over for both: its provider (which may count in whole seconds) and us. */
export const expiry = (peer, { token, expiresAt }) =>
  until(
    async () => Date.now() > expiresAt && !(await peer.honours(token)),
    'the access token expires',
    3 * ACCESS_TOKEN_TTL_S,
  );

/** The answer that says: this user must consent (again). */
export async function needsConsent(server, connector, who) {
  const answer = await server.token(connector, who);
  assert.equal(answer.status, 422, answer.text);
  assert.equal(answer.body.error.code, 'user_authorization_required');
}

/** The suite for peer `name`; `env` goes to the peer. Gives access to the running pair to further tests. */
export function holdsWith(name, env = {}) {
  const running = {};

  before(async () => {
    running.server = await Grantry.start();
    running.peer = await Peer.start(name, {
      callbacks: [running.server.callback],
      env: { AT_TTL: `${ACCESS_TOKEN_TTL_S}`, ...env },
    });
    await running.server.apply(
      world(
        connectorOf(running.peer, { id: 'scl_conf', uid: `${name}/conf` }),
        connectorOf(running.peer, { id: 'scl_weird', uid: `${name}/weird`, client: CLIENTS.weird }),
      ),
    );
  });
  after(async () => {
    await running.server?.stop();
    await running.peer?.stop();
  });

  describe(`a connection at ${name}`, () => {
    for (const [kind, client] of Object.entries(CLIENTS))
      it(`is made on the consent page by client ${JSON.stringify(client.id)}`, async () => {
        const { server, peer } = running;
        const who = user(`made-by-${kind}`);
        await needsConsent(server, `scl_${kind}`, who);
        const { token } = await connect(server, `scl_${kind}`, who);
        assert.equal(await peer.honours(token, client), true);
      });

    it('is refreshed once for 200 callers that meet its end', async () => {
      const { server, peer } = running;
      const who = user('popular');
      const first = await connect(server, 'scl_conf', who);
      await expiry(peer, first);
      const before = await peer.refreshes();
      const answers = await Promise.all(Array.from({ length: 200 }, () => served(server, 'scl_conf', who)));
      assert.equal((await peer.refreshes()) - before, 1);
      const [token, ...others] = new Set(answers.map(({ token }) => token));
      assert.deepEqual(others, []);
      assert.notEqual(token, first.token);
      assert.equal(await peer.honours(token), true);
    });

    it('outlives its access token again and again', async () => {
      const { server, peer } = running;
      const who = user('patient');
      let grant = await connect(server, 'scl_conf', who);
      for (let round = 0; round < 3; round++) {
        await expiry(peer, grant);
        grant = await served(server, 'scl_conf', who);
        assert.equal(await peer.honours(grant.token), true);
      }
    });

    it('ends at the provider when it is revoked', async () => {
      const { server, peer } = running;
      const who = user('leaving');
      const { token } = await connect(server, 'scl_conf', who);
      const revoked = await server.revoke('scl_conf', { ...who, key: KEYS.admin });
      assert.equal(revoked.status, 200, revoked.text);
      assert.equal(revoked.body.providerFailed, 0);
      assert.ok(revoked.body.providerRevoked >= 1, revoked.text);
      assert.equal(await peer.honours(token), false);
      await needsConsent(server, 'scl_conf', who);
    });

    it('leaves the other users of its connector alone when it is revoked', async () => {
      const { server, peer } = running;
      const { token: staying } = await connect(server, 'scl_conf', user('staying'));
      await connect(server, 'scl_conf', user('going'));
      await server.revoke('scl_conf', { ...user('going'), key: KEYS.admin });
      assert.equal(await peer.honours(staying), true);
      assert.equal((await served(server, 'scl_conf', user('staying'))).token, staying);
    });

    it('survives a restart', async () => {
      const { server, peer } = running;
      const who = user('durable');
      await connect(server, 'scl_conf', who);
      await server.kill();
      await server.serve();
      assert.equal(await peer.honours((await served(server, 'scl_conf', who)).token), true);
    });
  });

  return running;
}
