// npm @vercel/connect, unmodified, through the module that we ship.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import '../clients/connect-redirect.mjs';
import {
  ConnectError,
  deleteTokenCacheEntry,
  getConnectorMetadata,
  getToken,
  getTokenResponse,
  NoValidTokenError,
  revokeToken,
  startAuthorization,
  UserAuthorizationRequiredError,
} from '@vercel/connect';
import { connectAuthProvider } from '@vercel/connect/mcp';
import { Grantry } from './lib/grantry.mjs';
import { Peer } from './lib/peers.mjs';
import { run } from './lib/process.mjs';
import { Visitor } from './lib/visitor.mjs';
import { connectorOf, KEYS, PROJECT, RETURN_URL, TEAM, world } from './lib/world.mjs';

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

describe('what the package remembers', () => {
  /** What the requests that a test made asked for. */
  async function asked(act) {
    const real = globalThis.fetch;
    const seen = [];
    globalThis.fetch = (input, init) => {
      seen.push(`${input}`);
      return real(input, init);
    };
    try {
      await act();
    } finally {
      globalThis.fetch = real;
    }
    return seen;
  }

  it('is a token for as long as we say, until it is told to forget it', async () => {
    const params = { subject: { type: 'user', id: 'remembered' } };
    const { url } = await startAuthorization(CONNECTOR, params, { ...workload, callbackUrl: RETURN_URL });
    await new Visitor().connect(url, RETURN_URL);
    let token;
    assert.equal((await asked(async () => (token = await getToken(CONNECTOR, params, workload)))).length, 1);
    assert.deepEqual(await asked(async () => assert.equal(await getToken(CONNECTOR, params, workload), token)), []);
    deleteTokenCacheEntry(CONNECTOR, params);
    const again = await asked(async () => assert.equal(await getToken(CONNECTOR, params, workload), token));
    assert.deepEqual(again, ['https://api.vercel.com/v1/connect/token/oidc%2Facme']);

    // The same person of another issuer is another person.
    await assert.rejects(
      getToken(CONNECTOR, { subject: { ...params.subject, issuer: 'https://idp.example' } }, workload),
      UserAuthorizationRequiredError,
    );
    // What an admin ended elsewhere is served from memory until somebody asks anew, and then says what helps: a consent.
    const revoked = await server.revoke(CONNECTOR, { key: KEYS.admin, ...params });
    assert.equal(revoked.status, 200, revoked.text);
    assert.equal(await getToken(CONNECTOR, params, workload), token);
    await assert.rejects(getToken(CONNECTOR, params, { ...workload, forceRefresh: true }), (error) => {
      assert.ok(error instanceof UserAuthorizationRequiredError && !(error instanceof NoValidTokenError));
      return true;
    });
  });

  it('is asked for at the host of a region, by an option or the environment', async () => {
    const metadata = async (options) => asked(() => getConnectorMetadata(CONNECTOR, { ...workload, ...options }));
    const route = '/v1/connect/connectors/oidc%2Facme';
    assert.deepEqual(await metadata({ region: 'sfo1' }), [`https://api-sfo1.vercel.com${route}`]);
    process.env.VERCEL_REGION = 'fra1';
    try {
      assert.deepEqual(await metadata({}), [`https://api-fra1.vercel.com${route}`]);
    } finally {
      delete process.env.VERCEL_REGION;
    }
  });
});

describe('an authorization', () => {
  const subject = { type: 'user', id: 'asked' };
  const start = (options) => startAuthorization(CONNECTOR, { subject }, { ...workload, callbackUrl: RETURN_URL, ...options });

  it('asks the provider for a prompt, shows a code, ends when it is told to, and calls somebody', async () => {
    const before = Date.now();
    const started = await start({ prompt: 'login', deviceCode: true, expiresInMs: 90_000, webhook: 'https://hooks.example/done' });
    assert.ok(started.expiresAt - before >= 89_000 && started.expiresAt - Date.now() <= 90_000);
    assert.match(started.deviceCode, /^[A-Z0-9]{4}-[A-Z0-9]{4}$/);
    const visitor = new Visitor();
    const { page } = await visitor.open(started.url);
    assert.ok(page.text.includes(started.deviceCode));
    const { arrived } = await visitor.press(page, { stopAt: peer.url });
    assert.equal(arrived.searchParams.get('prompt'), 'login');
  });

  it('is refused for what cannot be', async () => {
    for (const expiresInMs of [0, 86_400_001])
      await assert.rejects(start({ expiresInMs }), ({ status, message }) => status === 400 && /expiresInMs/.test(message));
    await assert.rejects(start({ callbackUrl: 'https://elsewhere.example/' }), ({ status, message }) => status === 400 && /returnUrl/.test(message));
    await assert.rejects(start({ callbackUrl: 'http://elsewhere.example/' }), /callbackUrl/i);
  });

  it('of a terminal leads back nowhere, and shows a code', async () => {
    process.env.VERCEL_CONNECT_INTERACTIVE_AUTH_MODE = 'detached';
    try {
      const started = await start({ callbackUrl: 'no URL at all' });
      assert.match(started.deviceCode, /^[A-Z0-9]{4}-[A-Z0-9]{4}$/);
      const visitor = new Visitor();
      const { page } = await visitor.open(started.url);
      const { page: end } = await visitor.press(page);
      assert.match(end.text, /is connected/);
      assert.equal(await peer.honours(await getToken(CONNECTOR, { subject }, workload)), true);
    } finally {
      delete process.env.VERCEL_CONNECT_INTERACTIVE_AUTH_MODE;
    }
  });
});

describe('a token whose end nobody knows', () => {
  const connector = 'keys/forever';
  const params = { subject: { type: 'app' } };
  before(() =>
    server.apply(
      world(connectorOf(peer, { id: 'scl_acme', uid: CONNECTOR }), {
        connectors: [
          {
            id: 'scl_forever',
            uid: connector,
            team: TEAM,
            name: 'Key',
            type: 'api-key',
            data: { values: [{ value: 'k-forever' }] },
            links: [{ project: PROJECT, environments: ['production'] }],
          },
        ],
      }),
    ),
  );

  it('is said to be asked for again in an hour, and is cached until then', async () => {
    let sent = 0;
    const plain = globalThis.fetch;
    globalThis.fetch = (...request) => (sent++, plain(...request));
    try {
      const first = await getTokenResponse(connector, params, workload);
      const left = first.expiresAt - Date.now();
      assert.ok(left > 3_500_000 && left <= 3_600_000, `${left}`);
      assert.equal((await getTokenResponse(connector, params, workload)).token, 'k-forever');
      assert.equal(sent, 1, 'the second is from memory');
      await getTokenResponse(connector, params, { ...workload, forceRefresh: true });
      assert.equal(sent, 2);
    } finally {
      globalThis.fetch = plain;
    }
  });

  it('has a life that an MCP client can count', async () => {
    const tokens = await connectAuthProvider(connector, params, workload).tokens();
    assert.equal(tokens.access_token, 'k-forever');
    assert.ok(tokens.expires_in > 3500 && tokens.expires_in <= 3600, `${tokens.expires_in}`);
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
