// The peers themselves: what the other suites rest on is true before Grantry is in the picture.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { CLIENTS, Peer } from './lib/peers.mjs';
import { Visitor } from './lib/visitor.mjs';
import { Wire } from './lib/proxy.mjs';

const CALLBACK = 'http://127.0.0.1:9/callback';

/** A code flow by hand; gives the token answer. */
async function tokens(peer, client = CLIENTS.conf) {
  const verifier = randomBytes(32).toString('base64url');
  const link = new URL(peer.endpoint('authorization'));
  link.search = new URLSearchParams({
    client_id: client.id,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
    redirect_uri: CALLBACK,
    response_type: 'code',
    scope: peer.kind.scopes.join(' '),
    state: 's',
    ...peer.kind.authorizationParams,
  });
  const { arrived } = await new Visitor().open(link.href, { stopAt: CALLBACK });
  assert.equal(arrived.searchParams.get('iss'), peer.kind.hasIssuer ? peer.url : null);
  const answer = await peer.form(
    'token',
    {
      code: arrived.searchParams.get('code'),
      code_verifier: verifier,
      grant_type: 'authorization_code',
      redirect_uri: CALLBACK,
    },
    client,
  );
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}

const refresh = (peer, refresh_token) =>
  peer.form('token', { grant_type: 'refresh_token', refresh_token });

for (const name of ['oidc-provider', 'django-oauth-toolkit'])
  describe(name, () => {
    let peer;
    before(async () => (peer = await Peer.start(name, { callbacks: [CALLBACK] })));
    after(() => peer?.stop());

    for (const [kind, client] of Object.entries(CLIENTS))
      it(`gives the ${kind} client a token that it honours`, async () => {
        const { access_token } = await tokens(peer, client);
        assert.equal(await peer.honours(access_token, client), true);
        assert.equal(await peer.honours(`${access_token}x`, client), false);
      });

    it('ends the whole grant when a refresh token comes twice', async () => {
      const first = await tokens(peer);
      const before = await peer.refreshes();
      const second = await (await refresh(peer, first.refresh_token)).json();
      assert.notEqual(second.refresh_token, first.refresh_token);
      assert.equal((await (await refresh(peer, first.refresh_token)).json()).error, 'invalid_grant');
      assert.equal((await (await refresh(peer, second.refresh_token)).json()).error, 'invalid_grant');
      assert.equal((await peer.refreshes()) - before, 1);
    });
  });

describe('django-oauth-toolkit with a grace period', () => {
  let peer;
  before(
    async () =>
      (peer = await Peer.start('django-oauth-toolkit', { callbacks: [CALLBACK], env: { GRACE: '60' } })),
  );
  after(() => peer?.stop());

  it('repeats the answer that was lost on the wire', async () => {
    const wire = await Wire.to(peer.url);
    const behind = Object.assign(Object.create(peer), { url: wire.url });
    const first = await tokens(peer);
    wire.swallow();
    await assert.rejects(refresh(behind, first.refresh_token));
    const second = await (await refresh(behind, first.refresh_token)).json();
    assert.equal(await peer.honours(second.access_token), true);
    assert.deepEqual([wire.swallowed, await peer.refreshes()], [1, 2]);
    await wire.stop();
  });
});
