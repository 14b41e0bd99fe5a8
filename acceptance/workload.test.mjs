// Workload identity: our issuer as others verify it (npm jose, @vercel/sdk), and other issuers as we do.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import '../clients/connect-redirect.mjs';
import { getTokenResponse } from '@vercel/connect';
import { Vercel } from '@vercel/sdk';
import * as jose from 'jose';
import { BIN, Grantry } from './lib/grantry.mjs';
import { run, until } from './lib/process.mjs';
import { Sandbox } from './lib/sandbox.mjs';
import { KEYS, PROJECT, TEAM, world } from './lib/world.mjs';

const CONNECTOR = 'maps';
const APP = { type: 'app' };
const MAPS = {
  id: 'scl_maps',
  uid: CONNECTOR,
  team: TEAM,
  name: 'Maps',
  type: 'api-key',
  data: { values: [{ value: 'maps-key' }] },
  links: [{ project: PROJECT, environments: ['production', 'development'] }],
};

/** Services that trust our issuer: the audience by which each knows itself, and what is said beside the token. */
const TRUSTING = {
  aws: {
    type: 'aws-alpha',
    data: { roleArn: 'arn:aws:iam::123456789012:role/deploy', region: 'eu-central-1' },
    audience: 'sts.amazonaws.com',
  },
  warehouse: {
    type: 'snowflake-wif',
    data: { accountIdentifier: 'acme-prod', defaultSessionRole: 'ANALYST' },
    audience: 'snowflakecomputing.com',
  },
};
const trusting = Object.entries(TRUSTING).map(([uid, { type, data }]) => ({
  ...MAPS, id: `scl_${uid}`, uid, name: uid, type, data,
}));

/** An issuer made of npm jose: one ES256 key, a discovery document, a key set. */
async function joseIssuer() {
  const { publicKey, privateKey } = await jose.generateKeyPair('ES256');
  const jwk = { ...(await jose.exportJWK(publicKey)), kid: 'one', alg: 'ES256', use: 'sig' };
  const server = http.createServer((request, response) => {
    const documents = {
      '/.well-known/openid-configuration': { issuer, jwks_uri: `${issuer}/keys` },
      '/keys': { keys: [jwk] },
    };
    const found = documents[request.url];
    response.writeHead(found ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify(found ?? {}));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const issuer = `http://127.0.0.1:${server.address().port}`;
  const sign = (audience, claims) =>
    new jose.SignJWT(claims)
      .setProtectedHeader({ alg: 'ES256', kid: 'one' })
      .setIssuer(issuer)
      .setAudience(audience)
      .setSubject('job-7')
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(privateKey);
  return { issuer, sign, stop: () => server.close() };
}

let server, ci, cluster, runner;
before(async () => {
  ci = await Sandbox.start({ accessTtl: 60 });
  cluster = await Sandbox.start({ accessTtl: 60 });
  runner = await joseIssuer();
  server = await Grantry.start(world({ connectors: [MAPS, ...trusting] }), { config: issuers() });
  process.env.GRANTRY_URL = server.url;
});
after(async () => {
  await server?.stop();
  await ci?.stop();
  await cluster?.stop();
  runner?.stop();
});

const issuers = () => `
[[workload.issuers]]
name = "ci"
issuer = "${ci.url}"
require = { repository_owner = "acme" }
[[workload.issuers.rules]]
match = { repository = "acme/web", ref = ["refs/heads/main", "refs/tags/v*"] }
team = "acme"
project = "web"
environment = "production"
[[workload.issuers.rules]]
match = { repository = "acme/web" }
team = "acme"
project = "web"
environment = "preview"

[[workload.issuers]]
name = "cluster"
issuer = "${cluster.url}"
audiences = ["grantry"]
jwks_uri = "${cluster.url}/jwks"
[[workload.issuers.rules]]
match = { "/kubernetes.io/serviceaccount/name" = "default" }
team = "acme"
project = "{/kubernetes.io/namespace}"
environment = "production"

[[workload.issuers]]
name = "runner"
issuer = "${runner.issuer}"
algorithms = ["ES256"]
[[workload.issuers.rules]]
match = { pool = "deploy" }
team = "other"
project = "prj_other"
environment = "production"
`;

/** The token of a build of `repository` at `ref`, as GitHub Actions hands it out. */
async function build(repository, ref, audience = server.url) {
  const query = new URLSearchParams({ audience, repository, ref });
  return (await (await fetch(`${ci.url}/actions/id-token?${query}`)).json()).value;
}

async function serviceAccount(namespace, account, audiences) {
  const route = `/api/v1/namespaces/${namespace}/serviceaccounts/${account}/token`;
  const body = JSON.stringify({ spec: { audiences, expirationSeconds: 600 } });
  return (await (await fetch(cluster.url + route, { method: 'POST', body })).json()).status.token;
}

/** The status of a read of the connector's key. */
const read = async (key) => (await server.token(CONNECTOR, { key, subject: APP })).status;
const kid = (token) => jose.decodeProtectedHeader(token).kid;

describe('our issuer', () => {
  const verify = (token, keys) =>
    jose.jwtVerify(token, keys, { issuer: server.url, audience: `${server.url}/acme`, typ: 'workload+jwt', algorithms: ['RS256'] });

  it('is discovered and its tokens verified by npm jose', async () => {
    const discovery = await server.call('GET', '/.well-known/openid-configuration');
    assert.equal(discovery.body.issuer, server.url);
    assert.equal(discovery.headers.get('cache-control'), 'public, max-age=300');
    const keys = jose.createRemoteJWKSet(new URL(discovery.body.jwks_uri));
    const { payload } = await verify(await server.workloadToken(PROJECT, 'production'), keys);
    assert.equal(payload.sub, 'owner:acme:project:web:environment:production');
    assert.deepEqual([payload.owner_id, payload.project_id, payload.environment], [TEAM, PROJECT, 'production']);
  });

  it('mints a token for @vercel/sdk and for @vercel/oidc, which send no body', async () => {
    const { projects } = new Vercel({ serverURL: server.url, bearerToken: KEYS.admin });
    const minted = await projects.getProjectToken({ idOrName: 'web', teamId: TEAM, requestBody: { source: 'test' } });
    assert.equal(jose.decodeJwt(minted.token).environment, 'development');
    assert.equal(await read(minted.token), 200);
    const refreshed = await fetch(`https://api.vercel.com/v1/projects/${PROJECT}/token?source=vercel-oidc-refresh`, {
      method: 'POST',
      headers: { authorization: `Bearer ${KEYS.admin}` },
    });
    assert.equal(await read((await refreshed.json()).token), 200);
  });

  it('rotates its key under a verifier that kept the key set from before it signed', async () => {
    const old = await server.workloadToken(PROJECT, 'production');
    const made = JSON.parse(await server.command('signing-keys', 'rotate', '--lead', '2s', '--json'));
    assert.equal(made.state, 'pending');
    // Fetched once, while the new key is pending; never again.
    const kept = jose.createLocalJWKSet((await server.call('GET', '/.well-known/jwks')).body);
    let fresh;
    await until(async () => {
      fresh = await server.workloadToken(PROJECT, 'production');
      await verify(fresh, kept);
      return kid(fresh) === made.kid;
    }, 'the new key signs');
    await verify(old, kept);
    assert.deepEqual([await read(old), await read(fresh)], [200, 200]);

    await server.command('signing-keys', 'retire', kid(old), '--yes');
    await until(async () => (await read(old)) === 401, 'the retired key ends its tokens', 2);
    assert.equal(await read(fresh), 200);
    const published = (await server.call('GET', '/.well-known/jwks')).body.keys;
    assert.deepEqual(published.map((key) => key.kid), [made.kid]);
  });
});

describe('what proves a workload to a service that trusts our issuer', () => {
  for (const [connector, { type, data, audience }] of Object.entries(TRUSTING))
    it(`is verified there by npm jose and is no credential here: ${type}`, async () => {
      const vercelToken = await server.workloadToken(PROJECT, 'production');
      const answer = await getTokenResponse(connector, { subject: APP }, { vercelToken });
      assert.deepEqual(answer.metadata, data);
      const { body } = await server.call('GET', '/.well-known/openid-configuration');
      const keys = jose.createRemoteJWKSet(new URL(body.jwks_uri));
      const expected = { issuer: server.url, audience, typ: 'JWT', algorithms: ['RS256'], maxTokenAge: '1h' };
      const { payload } = await jose.jwtVerify(answer.token, keys, expected);
      assert.equal(payload.sub, `owner:${TEAM}:project:${PROJECT}:environment:production`);
      assert.deepEqual([payload.owner_id, payload.project_id, payload.environment], [TEAM, PROJECT, 'production']);
      assert.deepEqual([payload.aud, payload.exp - payload.iat], [audience, 3600]);
      assert.equal(answer.expiresAt, payload.exp * 1000);
      await assert.rejects(jose.jwtVerify(answer.token, keys, { ...expected, audience: `${server.url}/acme` }), /aud/);

      // Neither for a token, nor for any other call.
      assert.equal(await read(answer.token), 401);
      assert.equal((await server.token(connector, { key: answer.token, subject: APP })).status, 401);
      assert.equal((await server.call('GET', '/api/v1/connectors', { key: answer.token })).status, 401);
    });

  it('is of another environment where the workload is, and of nobody without a project', async () => {
    const preview = await server.token('aws', { key: await server.workloadToken(PROJECT, 'development'), subject: APP });
    assert.equal(jose.decodeJwt(preview.body.token).sub, `owner:${TEAM}:project:${PROJECT}:environment:development`);
    const unlinked = await server.token('aws', { key: await server.workloadToken(PROJECT, 'preview'), subject: APP });
    assert.equal(unlinked.status, 403);
    for (const key of [KEYS.admin, KEYS.member]) {
      const refused = await server.token('aws', { key, subject: APP });
      assert.equal(refused.status, 422, refused.text);
      assert.match(refused.text, /only a workload/);
    }
  });

  it('needs what the service needs beside it, and never names this server', async () => {
    const make = (type, data) => server.call('POST', '/api/v1/connectors', { key: KEYS.admin, body: { type, name: 'Bare', data } });
    const { body } = await make('aws-alpha', {});
    const linked = { key: KEYS.admin, body: { environments: ['production'] } };
    assert.ok((await server.call('PUT', `/api/v1/connectors/${body.id}/projects/${PROJECT}`, linked)).status < 300);
    const refused = await server.token(body.id, { key: KEYS.workload, subject: APP });
    assert.equal(refused.status, 422, refused.text);
    assert.match(refused.text, /data\.roleArn is required/);
    for (const type of ['aws-alpha', 'snowflake-wif']) {
      const own = await make(type, { audience: `${server.url}/acme` });
      assert.equal(own.status, 400, own.text);
      assert.match(own.text, /data\.audience/);
    }
  });
});

describe('a token of another issuer', () => {
  it('of a build reads what its rule links it to, through @vercel/connect', async () => {
    const vercelToken = await build('acme/web', 'refs/heads/main');
    const answer = await getTokenResponse(CONNECTOR, { subject: APP }, { vercelToken });
    assert.equal(answer.token, 'maps-key');
    const events = (await server.call('GET', '/api/v1/events?limit=5', { key: KEYS.admin })).body.data;
    assert.deepEqual(events.find((event) => event.actor.identity)?.actor, {
      type: 'project',
      id: PROJECT,
      environment: 'production',
      identity: { issuer: ci.url, subject: 'repo:acme/web:ref:refs/heads/main' },
    });
  });

  it('of a build is refused elsewhere', async () => {
    assert.equal(await read(await build('acme/web', 'refs/tags/v1.2')), 200);
    assert.equal(await read(await build('acme/web', 'refs/heads/topic')), 403, 'preview is not linked');
    assert.equal(await read(await build('mallory/web', 'refs/heads/main')), 401);
    assert.equal(await read(await build('acme/web', 'refs/heads/main', 'https://other.example')), 401);
  });

  it('of a service account is the project of its namespace', async () => {
    assert.equal(await read(await serviceAccount('web', 'default', ['grantry'])), 200);
    assert.equal(await read(await serviceAccount('web', 'default', [server.url])), 401);
    assert.equal(await read(await serviceAccount('web', 'builder', ['grantry'])), 401);
    assert.equal(await read(await serviceAccount('shop', 'default', ['grantry'])), 401);
  });

  it('signed with ES256 by npm jose is taken for the rule of its own team alone', async () => {
    const token = await runner.sign(server.url, { pool: 'deploy' });
    const missing = await read(token);
    assert.equal(missing, 401, 'its project is not there yet');
    await server.apply({ projects: [{ id: 'prj_other', team: 'team_2', name: 'other-web' }] });
    await until(async () => (await read(token)) === 404, "it is in, and the connector is another team's", 2);
    assert.equal(await read(await runner.sign(server.url, { pool: 'test' })), 401);
  });

  it('with a forged header is refused', async () => {
    const claims = { sub: 'x', aud: server.url, repository: 'acme/web', repository_owner: 'acme', ref: 'refs/heads/main' };
    const mint = async (order) => {
      const body = JSON.stringify({ claims, ...order });
      return (await (await fetch(`${ci.url}/_mint`, { method: 'POST', body })).json()).token;
    };
    assert.equal(await read(await mint({})), 200);
    for (const order of [
      { signing: 'none' },
      { signing: 'HS256' },
      { signing: 'HS256', header: { alg: 'RS256' } },
      { header: { alg: 'RS384' } },
      { header: { kid: 'another' } },
      { header: { typ: 'at+jwt' } },
    ])
      assert.equal(await read(await mint(order)), 401, JSON.stringify(order));
    const own = await jose.generateKeyPair('RS256');
    const jwk = await jose.exportJWK(own.publicKey);
    const [real] = (await (await fetch(`${ci.url}/jwks`)).json()).keys;
    const forged = await new jose.SignJWT({ ...claims, iss: ci.url })
      .setProtectedHeader({ alg: 'RS256', kid: real.kid, jwk, jku: `${runner.issuer}/keys` })
      .setIssuedAt()
      .setExpirationTime('5m')
      .sign(own.privateKey);
    assert.equal(await read(forged), 401);
  });

  it('is taken under a new key of its issuer, and while the issuer is down', async () => {
    const order = (fault, endpoint) =>
      fetch(`${ci.url}/_control`, { method: 'POST', body: JSON.stringify({ fault, endpoint }) });
    await fetch(`${ci.url}/_rotate`, { method: 'POST' });
    const token = await build('acme/web', 'refs/heads/main');
    await until(async () => (await read(token)) === 200, 'the new key is fetched', 20);
    await order('s500', 'jwks');
    await order('s500', 'metadata');
    assert.equal(await read(await build('acme/web', 'refs/tags/v2')), 200);
    await ci.stop();
    assert.equal(await read(token), 200);
  });
});

it('a declaration that cannot be right is refused with what would be', async () => {
  const file = path.join(server.folder, 'wrong.toml');
  writeFileSync(file, issuers().replace('repository_owner = "acme"', 'repository_owner = 7').replaceAll('team =', 'teem ='));
  await assert.rejects(run(BIN, ['config', 'check', file]), (error) => {
    assert.match(error.message, /workload\.issuers\[0\]\.require: repository_owner: 7 is neither a text nor a list/);
    assert.match(error.message, /workload\.issuers\[2\]\.rules\[0\] has no key teem; is team meant\?/);
    return true;
  });
});
