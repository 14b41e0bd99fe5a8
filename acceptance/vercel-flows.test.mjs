// The calls that npm @vercel/sdk 1.28.8 still models and later ones left out, by that very package.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Vercel } from 'vercel-sdk-1.28.8';
import { Grantry } from './lib/grantry.mjs';
import { Peer } from './lib/peers.mjs';
import { served, user } from './lib/provider-suite.mjs';
import { connectorOf, KEYS, TEAM, world } from './lib/world.mjs';

const CONNECTOR = 'oidc/flows';
let server, peer;
before(async () => {
  server = await Grantry.start();
  peer = await Peer.start('oidc-provider', { callbacks: [server.callback] });
  await server.apply(world(connectorOf(peer, { id: 'scl_flows', uid: CONNECTOR })));
});
after(async () => {
  await server?.stop();
  await peer?.stop();
});

const sdk = (bearerToken = KEYS.admin) => new Vercel({ serverURL: server.url, bearerToken }).connect;

describe('connect.importConnectorTokens', () => {
  const expiresAt = Date.now() + 3_600_000;
  const token = (id, fields) => ({
    accessToken: `at-${id}`,
    expiresAt,
    environment: 'production',
    subject: { type: 'user', id },
    ...fields,
  });
  const importing = (tokens, key) =>
    sdk(key).importConnectorTokens({ connector: CONNECTOR, requestBody: { tokens } });

  it('takes tokens in, tells them without their secrets, and serves them', async () => {
    const told = await importing([
      token('moved-1', {
        refreshToken: 'rt-1',
        name: 'Ada',
        externalSubject: 'U1',
        installation: { id: 'T1', name: 'Workspace' },
        tenant: { id: 'E1' },
        installationId: 'T1',
        data: { botUserId: 'U9' },
        authorizationDetails: [{ type: 'x' }],
      }),
      token('moved-2'),
    ]);
    assert.deepEqual([told.accepted, told.imported], [2, 2]);
    const [first, second] = told.tokens;
    assert.deepEqual(first.subject, { type: 'user', id: 'moved-1' });
    assert.deepEqual([first.installation, first.tenant, first.data, first.expiresAt], [
      { id: 'T1', name: 'Workspace' },
      { id: 'E1' },
      { botUserId: 'U9' },
      expiresAt,
    ]);
    assert.ok(first.succeeded && second.succeeded);
    assert.doesNotMatch(JSON.stringify(told), /at-moved|rt-1/);
    const answer = await served(server, CONNECTOR, user('moved-2'));
    assert.equal(answer.token, 'at-moved-2');
    assert.ok(Math.abs(answer.expiresAt - expiresAt) < 2000, `${answer.expiresAt}`);
  });

  it('may be sent again, and never overwrites what stands', async () => {
    await importing([token('kept')]);
    const again = await importing([token('kept')]);
    assert.deepEqual([again.accepted, again.imported, again.tokens[0].succeeded], [1, 0, true]);
    const other = await importing([token('kept', { accessToken: 'at-other' })]);
    assert.deepEqual([other.imported, other.tokens[0].succeeded], [0, false]);
    assert.equal((await served(server, CONNECTOR, user('kept'))).token, 'at-kept');
  });

  it('is refused whole when one token is wrong, and to who may not import', async () => {
    await assert.rejects(importing([token('fine'), token('wrong', { expiresAt: 1 })]), (error) => {
      assert.equal(error.statusCode, 400, `${error}`);
      assert.match(error.body, /tokens\[1\]\.expiresAt/);
      return true;
    });
    assert.equal((await server.token(CONNECTOR, user('fine'))).status, 422);
    await assert.rejects(importing([token('fine')], KEYS.member), (error) => error.statusCode === 403);
  });
});
