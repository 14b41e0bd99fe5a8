// npm @vercel/connect, unmodified, through the module that we ship.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import '../clients/connect-redirect.mjs';
import {
  ConnectError,
  getConnectorMetadata,
  getTokenResponse,
  revokeToken,
  startAuthorization,
  UserAuthorizationRequiredError,
} from '@vercel/connect';
import { Grantry } from './lib/grantry.mjs';
import { Peer } from './lib/peers.mjs';
import { run } from './lib/process.mjs';
import { Visitor } from './lib/visitor.mjs';
import { connectorOf, PROJECT, RETURN_URL, world } from './lib/world.mjs';

const CONNECTOR = 'oidc/acme';
let server, peer, workload;
before(async () => {
  server = await Grantry.start();
  peer = await Peer.start('oidc-provider', { callbacks: [server.callback] });
  await server.apply(world(connectorOf(peer, { id: 'scl_acme', uid: CONNECTOR })));
  process.env.GRANTRY_URL = server.url;
  workload = { vercelToken: await server.workloadToken(PROJECT, 'production') };
});
after(async () => {
  await server?.stop();
  await peer?.stop();
});

describe('a workload with a token of our issuer', () => {
  it('goes from "this user must connect" to a token to a revocation', async () => {
    const subject = { type: 'user', id: 'u1' };
    await assert.rejects(getTokenResponse(CONNECTOR, { subject }, workload), UserAuthorizationRequiredError);

    const started = await startAuthorization(CONNECTOR, { subject }, { ...workload, callbackUrl: RETURN_URL });
    assert.equal(new URL(started.url).origin, server.url);
    assert.ok(started.request && started.verifier);
    assert.equal(started.connector.uid, CONNECTOR);
    await new Visitor().connect(started.url, RETURN_URL);

    const answer = await getTokenResponse(CONNECTOR, { subject }, workload);
    assert.equal(await peer.honours(answer.token), true);
    assert.ok(answer.expiresAt > Date.now());
    assert.match(answer.tokenId, /^stk_/);

    await revokeToken(CONNECTOR, { subject }, workload);
    assert.equal(await peer.honours(answer.token), false);
    await assert.rejects(
      getTokenResponse(CONNECTOR, { subject }, { ...workload, forceRefresh: true }),
      UserAuthorizationRequiredError,
    );
  });

  it('reads what it may know of the connector', async () => {
    const metadata = await getConnectorMetadata(CONNECTOR, workload);
    assert.equal(metadata.uid, CONNECTOR);
    assert.doesNotMatch(JSON.stringify(metadata), /conf-secret/);
  });

  it('is refused in an environment that is not linked', async () => {
    const preview = { vercelToken: await server.workloadToken(PROJECT, 'preview') };
    await assert.rejects(getTokenResponse(CONNECTOR, { subject: { type: 'user', id: 'u2' } }, preview), (error) => {
      assert.ok(error instanceof ConnectError && !(error instanceof UserAuthorizationRequiredError), `${error}`);
      return true;
    });
  });

  it('is refused when its token is forged', async () => {
    const [head, claims] = workload.vercelToken.split('.');
    const forged = { vercelToken: `${head}.${claims}.${'A'.repeat(342)}` };
    await assert.rejects(getTokenResponse(CONNECTOR, { subject: { type: 'app' } }, forged), ConnectError);
  });
});

it('connect-redirect.mjs works as the flag that its documentation shows', async () => {
  const program = `
    import { getConnectorMetadata } from '@vercel/connect';
    console.log((await getConnectorMetadata('${CONNECTOR}')).uid);`;
  const redirect = path.join(import.meta.dirname, '../clients/connect-redirect.mjs');
  const printed = await run(
    process.execPath,
    ['--import', redirect, '--input-type=module', '--eval', program],
    { env: { GRANTRY_URL: server.url, VERCEL_OIDC_TOKEN: workload.vercelToken }, cwd: import.meta.dirname },
  );
  assert.equal(printed.trim(), CONNECTOR);
});

describe('connect-redirect.mjs', () => {
  it("redirects Vercel's hosts in every form of input, and nothing else", async () => {
    for (const input of [
      'https://api.vercel.com/healthz?x=1',
      new URL('https://api-sfo1.vercel.com/healthz'),
      new Request('https://connect.vercel.com/healthz'),
    ])
      assert.equal((await fetch(input)).status, 200);
    // A name that cannot resolve: were it redirected, it would answer.
    await assert.rejects(fetch('https://api.vercel.com.invalid/healthz'));
  });
});
