// The verifier that we ship for forwarded events, in the Slack adapter of npm chat with the helpers of npm
// @vercel/connect, all unmodified. What the server's issuer signs comes from the server. Forwards themselves, which it
// does not send yet, are signed here: by a key beside its own, in the key set under its own public URL.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, describe, it, mock } from 'node:test';
import '../clients/connect-redirect.mjs';
import { webhookVerifier } from '../clients/connect-webhook.mjs';
import { createSlackAdapter } from '@chat-adapter/slack';
import { connectSlackAdapter } from '@vercel/connect/chat';
import { connectSlackCredentials } from '@vercel/connect/eve';
import { decodeJwt, exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose';
import { Grantry } from './lib/grantry.mjs';
import { PROJECT, TEAM, world } from './lib/world.mjs';

const CONNECTOR = 'slack/acme';
const TRIGGER = { id: 'scl_slack', uid: CONNECTOR, type: 'slack', service: 'slack' };
const BODY = JSON.stringify({ type: 'url_verification', challenge: 'wörd' });
const silent = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

let server, other, front, key, ambient, verifier;
/** Keys that stand beside the server's own, and how often somebody asked for all of them. */
const published = [];
let asked = 0;

async function signer(kid) {
  const { publicKey, privateKey } = await generateKeyPair('RS256');
  return { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: 'RS256', use: 'sig' } };
}

before(async () => {
  front = http.createServer(async (request, response) => {
    asked++;
    const answer = await fetch(server.url + request.url).catch(() => null);
    if (!answer) return response.writeHead(502).end();
    const { keys } = await answer.json();
    response.setHeader('content-type', 'application/json').end(JSON.stringify({ keys: [...keys, ...published] }));
  });
  await once(front.listen(0, '127.0.0.1'), 'listening');
  front.url = `http://127.0.0.1:${front.address().port}`;
  const document = world({
    projects: [{ id: 'prj_else', team: TEAM, name: 'else' }, { id: 'prj_theirs', team: 'team_2', name: 'web' }],
  });
  [server, other] = await Promise.all([Grantry.start(document, { publicUrl: front.url }), Grantry.start(world())]);
  key = await signer('forwarding');
  published.push(key.jwk);
  ambient = await server.workloadToken(PROJECT, 'production');
  verifier = made();
});
after(async () => {
  front.close();
  await Promise.all([server, other].map((one) => one?.stop()));
});

const made = (options, connector = CONNECTOR) =>
  webhookVerifier(connector, { url: front.url, project: PROJECT, environment: 'production', ...options });

const digest = (body) => createHash('sha256').update(body).digest('base64url');
let deliveries = 0;

/** The token that goes with `BODY`: the deployment's own, as the server mints it, made that of a forward. */
const forwarded = (changes = {}, { by = key, header = {} } = {}) =>
  new SignJWT({
    ...decodeJwt(ambient),
    client_id: 'api-connex',
    trigger: TRIGGER,
    jti: `delivery-${deliveries++}`,
    body_sha256: digest(BODY),
    ...changes,
  })
    .setProtectedHeader({ alg: 'RS256', kid: by.kid, typ: 'trigger+jwt', ...header })
    .sign(by.privateKey);

const request = (token, body = BODY) =>
  new Request('https://app.example/slack', {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) },
    body,
  });
const verify = (token, { by = verifier, body = BODY } = {}) => by(request(token), body);

describe('an application with the Slack adapter', () => {
  /** Like the application that docs/vercel.md shows. */
  const adapterWith = (webhookVerifier) =>
    createSlackAdapter({ ...connectSlackAdapter(CONNECTOR), webhookVerifier, logger: silent });

  it('takes what the server forwards, and takes it once', async () => {
    const adapter = adapterWith(verifier);
    const token = await forwarded();
    const answer = await adapter.handleWebhook(request(token));
    assert.deepEqual([answer.status, await answer.json()], [200, { challenge: 'wörd' }]);
    assert.equal((await adapter.handleWebhook(request(token))).status, 401);
    assert.equal((await adapter.handleWebhook(request(await forwarded()))).status, 200);
  });

  it('takes nothing else', async () => {
    const adapter = adapterWith(verifier);
    for (const token of [undefined, ambient, await forwarded({ environment: 'preview' }), await forwarded({ body_sha256: digest('') })]) {
      const answer = await adapter.handleWebhook(request(token));
      assert.deepEqual([answer.status, await answer.text()], [401, 'Invalid signature']);
    }
  });

  it('takes nothing with the verifier that the package brings', async () => {
    const adapter = adapterWith(connectSlackAdapter(CONNECTOR).webhookVerifier);
    assert.equal((await adapter.handleWebhook(request(await forwarded()))).status, 401);
  });

  it('has the same function for eve', async () => {
    const credentials = { ...connectSlackCredentials(CONNECTOR), webhookVerifier: verifier };
    assert.equal(await credentials.webhookVerifier(request(await forwarded()), BODY), true);
  });
});

describe('the body', () => {
  it('is taken as text, as bytes, and from a request that nobody read', async () => {
    assert.equal(await verify(await forwarded()), true);
    assert.equal(await verify(await forwarded(), { body: new TextEncoder().encode(BODY) }), true);
    assert.equal(await verifier(request(await forwarded())), true);
  });

  it('is the one that was sent', async () => {
    await assert.rejects(verify(await forwarded(), { body: BODY.replace('w', 'W') }), /body_sha256/);
    await assert.rejects(verifier(request(await forwarded(), `${BODY} `)), /body_sha256/);
    await assert.rejects(verify(await forwarded({ body_sha256: undefined })), /body_sha256/);
    assert.equal(await verify(await forwarded({ body_sha256: digest('') }), { body: '' }), true);
  });
});

describe('a token is refused that is', () => {
  const now = () => Math.floor(Date.now() / 1000);
  const stranger = signer('stranger');
  const forged = async () => ({ ...(await stranger), kid: key.kid });
  const hs256 = async () => {
    const secret = new TextEncoder().encode(JSON.stringify(key.jwk));
    const claims = decodeJwt(await forwarded());
    return new SignJWT(claims).setProtectedHeader({ alg: 'HS256', kid: key.kid, typ: 'trigger+jwt' }).sign(secret);
  };
  const tampered = async () => {
    const [head, , signature] = (await forwarded({ environment: 'preview' })).split('.');
    return [head, (await forwarded()).split('.')[1], signature].join('.');
  };
  // The first six are the server's own, or that of a server beside it.
  const REFUSED = {
    "the deployment's own": [() => ambient, /not that of a forward/],
    "another project's": [() => server.workloadToken('prj_else', 'production'), /project_id is not prj_1/],
    "another environment's": [() => server.workloadToken(PROJECT, 'preview'), /environment is not production/],
    "another team's project's": [() => server.workloadToken('prj_theirs', 'production'), /project_id is not prj_1/],
    "another server's": [() => other.workloadToken(PROJECT, 'production'), /has no such key/],
    'a key': [() => 'grk_0123456789', /not a JWT/],
    missing: [() => undefined, /no Authorization bearer/],
    empty: [() => '..', /not a JWT/],
    "another connector's": [() => forwarded({ trigger: { ...TRIGGER, id: 'scl_x', uid: 'slack/x' } }), /trigger is not of slack\/acme/],
    'without a trigger': [() => forwarded({ trigger: undefined }), /trigger/],
    "another client's": [() => forwarded({ client_id: 'api' }), /not that of a forward/],
    'of another type': [() => forwarded({}, { header: { typ: 'workload+jwt' } }), /not that of a forward/],
    'of another issuer': [() => forwarded({ iss: other.url }), /iss is not/],
    'of an issuer whose name begins alike': [() => forwarded({ iss: `${front.url}.evil.example` }), /iss is not/],
    'for another audience': [() => forwarded({ aud: 'sts.amazonaws.com' }), /aud/],
    'for an audience of its own choosing': [() => forwarded({ owner: '../x' }), /aud/],
    expired: [() => forwarded({ exp: now() - 31 }), /expired/],
    'without an end': [() => forwarded({ exp: undefined }), /expired/],
    'of tomorrow': [() => forwarded({ nbf: now() + 86_400 }), /not good yet/],
    'without an id': [() => forwarded({ jti: undefined }), /jti is missing/],
    "signed by a stranger's key": [async () => forwarded({}, { by: await stranger }), /has no such key/],
    "signed by a stranger's key under our key's name": [async () => forwarded({}, { by: await forged() }), /signature does not hold/],
    tampered: [tampered, /signature does not hold/],
    unsigned: [async () => new UnsecuredJWT(decodeJwt(await forwarded())).encode(), /not signed as RS256/],
    'signed with the public key as a secret': [hs256, /not signed as RS256/],
    'critical beyond what is understood': [() => forwarded({}, { header: { crit: ['b64'], b64: true } }), /RS256/],
  };
  for (const [what, [token, reason]] of Object.entries(REFUSED))
    it(what, async () => {
      const hostile = await token();
      await assert.rejects(verify(hostile), (error) => {
        assert.match(error.message, reason);
        assert.ok(!hostile || hostile.length < 8 || !error.message.includes(hostile), 'no token in what may be logged');
        return true;
      });
    });
});

describe('a token that comes twice', () => {
  it('is refused the second time, also at the same moment', async () => {
    const token = await forwarded();
    const both = await Promise.allSettled([verify(token), verify(token)]);
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
    assert.match(both.find(({ reason }) => reason).reason.message, /has been used/);
  });

  it('is not used up by a refusal', async () => {
    const token = await forwarded();
    await assert.rejects(verify(token, { body: 'altered' }), /body_sha256/);
    assert.equal(await verify(token), true);
  });

  it('is refused by another process that shares the memory', async () => {
    const seen = new Map();
    const shared = async (id, until) => !seen.has(id) && Boolean(seen.set(id, until));
    const [first, second] = [made({ once: shared }), made({ once: shared })];
    const exp = Math.floor(Date.now() / 1000) + 60;
    const token = await forwarded({ jti: 'shared', exp });
    assert.equal(await verify(token, { by: first }), true);
    await assert.rejects(verify(token, { by: second }), /has been used/);
    assert.deepEqual([...seen], [['shared', (exp + 30) * 1000]], 'remembered for as long as it could be shown');
  });
});

describe('connectors and keys', () => {
  it('a connector is named by its id or its uid, and one route may serve several', async () => {
    for (const connector of ['scl_slack', CONNECTOR, ['slack/x', 'scl_slack']])
      assert.equal(await verify(await forwarded(), { by: made({}, connector) }), true);
    await assert.rejects(verify(await forwarded(), { by: made({}, ['slack/x']) }), /trigger/);
  });

  it('keys are asked for once, a new one when it comes, and the last are good while the server is away', async () => {
    const clock = (at) => mock.timers.setTime(at);
    const begin = Date.now();
    mock.timers.enable({ apis: ['Date'], now: begin });
    try {
      const by = made();
      asked = 0;
      const tokens = await Promise.all(Array.from({ length: 20 }, () => forwarded()));
      await Promise.all(tokens.map((token) => verify(token, { by })));
      assert.equal(asked, 1);

      const next = await signer('next');
      published.push(next.jwk);
      await assert.rejects(verify(await forwarded({}, { by: next }), { by }), /has no such key/);
      assert.equal(asked, 1, 'strangers cannot make it ask');
      clock(begin + 16_000);
      assert.equal(await verify(await forwarded({}, { by: next }), { by }), true);
      assert.equal(asked, 2);

      published.pop();
      clock(begin + 77_000);
      await assert.rejects(verify(await forwarded({}, { by: next }), { by }), /has no such key/, 'a key that was retired');

      await server.kill();
      clock(begin + 600_000);
      assert.equal(await verify(await forwarded(), { by }), true);
      clock(begin + 4_000_000);
      await assert.rejects(verify(await forwarded(), { by }), /has no such key/);
      await assert.rejects(verify(await forwarded(), { by: made() }), /jwks answers 502/);
    } finally {
      mock.timers.reset();
      await server.serve();
    }
  });

  for (const [missing, options] of [
    ['url', { url: '' }],
    ['project', { project: undefined }],
    ['environment', { environment: undefined }],
  ])
    it(`${missing} has to be said`, () => {
      assert.throws(() => made(options), { name: 'TypeError', message: `webhookVerifier: ${missing} is not set` });
    });
  it('so has the connector', () => {
    const options = { url: front.url, project: PROJECT, environment: 'production' };
    for (const connector of [undefined, '', [], [''], {}])
      assert.throws(() => webhookVerifier(connector, options), { name: 'TypeError', message: /name the connector/ });
  });
  it('all but the connector may be in the environment', async () => {
    Object.assign(process.env, { GRANTRY_URL: `${front.url}/`, VERCEL_PROJECT_ID: PROJECT, VERCEL_ENV: 'production' });
    try {
      assert.equal(await verify(await forwarded(), { by: webhookVerifier(CONNECTOR) }), true);
      process.env.VERCEL_TARGET_ENV = 'preview';
      await assert.rejects(verify(await forwarded(), { by: webhookVerifier(CONNECTOR) }), /environment is not preview/);
    } finally {
      for (const name of ['GRANTRY_URL', 'VERCEL_PROJECT_ID', 'VERCEL_ENV', 'VERCEL_TARGET_ENV']) delete process.env[name];
    }
  });
});
