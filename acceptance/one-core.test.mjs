// One core: a connector is the same row in every dialect, whichever made it. Each dialect makes some, which are listed
// and fetched in all of them, used for a real connection by each of them, and ended in yet another.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { Grantry } from './lib/grantry.mjs';
import { CLIENTS, Peer } from './lib/peers.mjs';
import { Child, until } from './lib/process.mjs';
import { Visitor } from './lib/visitor.mjs';
import { KEYS, PROJECT, RETURN_URL, TEAM, world } from './lib/world.mjs';

const SERVICE = 'linear';
const { conf } = CLIENTS;
const there = `teamId=${TEAM}`;

let server, peer, endpoint;
before(async () => {
  server = await Grantry.start();
  // A connector that Cohere's dialect made has that dialect's own redirect URI.
  peer = await Peer.start('oidc-provider', { callbacks: [server.callback, `${server.url}/cohere/v1/connectors/oauth/token`] });
  endpoint = new Child(process.execPath, [path.join(import.meta.dirname, 'peers/cohere-connector.mjs')]);
  const [, searched] = await endpoint.until(() => endpoint.output.match(/^ready (\S+)$/m));
  endpoint.url = `${searched}/oauth/search`;
  const service = {
    id: SERVICE,
    name: 'Linear',
    kind: 'oauth2',
    issuer: peer.url,
    authorization_endpoint: peer.endpoint('authorization'),
    token_endpoint: peer.endpoint('token'),
    revocation_endpoint: peer.endpoint('revocation'),
    token_endpoint_auth_method: 'client_secret_basic',
    authorize_params: peer.kind.authorizationParams,
    scope_separator: 'space',
    common_scopes: peer.kind.scopes,
  };
  await server.apply(world({ services: [service], connectors: [KEPT] }));
});
after(async () => {
  await server?.stop();
  await peer?.stop();
  await endpoint?.stop();
});

/** A connector of stored keys, which is what some dialects have no word for. */
const KEPT = {
  id: 'scl_key',
  uid: 'keys/one',
  team: TEAM,
  name: 'A stored key',
  type: 'api-key',
  service: 'stripe',
  data: { values: [{ value: 'sk_never_shown' }] },
};

/** A connector of each further type, as little as it can be; the last word says whether it is an OAuth client. */
const TYPES = {
  'aws-alpha': [{ roleArn: 'arn:aws:iam::123456789012:role/x' }],
  custom: [{}],
  discord: [{ applicationId: '17', botToken: 'never_shown' }, 'client'],
  github: [{ appId: 7, appSlug: 'my-app', appName: 'My App', clientId: 'Iv1.x' }, 'client'],
  linear: [{ clientId: 'c', clientSecret: 'never_shown' }, 'client'],
  linq: [{ apiToken: 'never_shown' }],
  'microsoft-entra': [{ clientId: 'c', clientSecret: 'never_shown' }, 'client'],
  'microsoft-teams': [{ appId: 'c', clientSecret: 'never_shown' }, 'client'],
  photon: [{ projectId: 'p', projectSecret: 'never_shown' }],
  salesforce: [{ consumerKey: 'c', consumerSecret: 'never_shown', loginHost: 'login.salesforce.com' }, 'client'],
  sendblue: [{ apiKeyId: 'i', apiSecretKey: 'never_shown' }],
  slack: [{ appId: 'A1', appName: 'n', clientId: '1.2', clientSecret: 'never_shown' }, 'client'],
  snowflake: [{ accountIdentifier: 'acme-prod', clientId: 'c', clientSecret: 'never_shown' }, 'client'],
  'snowflake-wif': [{ accountIdentifier: 'acme-prod' }],
};

const call = (method, route, body) => server.call(method, route, { key: KEYS.admin, body });

/** The body of an answer that went well. */
const ok = (answer) => {
  assert.ok(answer.status >= 200 && answer.status < 300, `${answer.status} ${answer.text}`);
  return answer.body;
};

/** The native API's token of `connector` for `subject`, for a workload. */
const token = (connector, subject) =>
  server.call('POST', '/api/v1/tokens', { key: KEYS.workload, body: { connector, subject } });

/** Connections of `connector`, natively. */
const connections = async (connector) =>
  ok(await call('GET', `/api/v1/connections?connector=${connector}&limit=100`)).data;

/**
 * What every dialect does with a connector.
 * - make: makes one, and gives its id; list: all; get: one; gone: what `get` answers once it is deleted
 * - connect: a user's consent, asked for in the dialect; gives the subject that the tokens are for
 * - remove: deletes it, which ends its connections
 */
const DIALECTS = {
  native: {
    make: async (name) => {
      const data = { clientId: conf.id, clientSecret: conf.secret };
      return ok(await call('POST', '/api/v1/connectors', { type: 'oauth', name, service: SERVICE, data })).id;
    },
    list: async () => ok(await call('GET', '/api/v1/connectors?limit=100')).data,
    get: (id) => call('GET', `/api/v1/connectors/${id}`),
    connect: async (connector) => {
      const subject = { type: 'user', id: 'native' };
      const body = { connector, subject, scopes: ['*'], return_url: RETURN_URL };
      const asked = ok(await server.call('POST', '/api/v1/authorizations', { key: KEYS.workload, body }));
      await new Visitor().connect(asked.url, RETURN_URL);
      return subject;
    },
    remove: (id) => call('DELETE', `/api/v1/connectors/${id}`),
    gone: 404,
  },
  vercel: {
    make: async (name) => {
      const data = { clientId: conf.id, clientSecret: conf.secret };
      return ok(await call('POST', `/v1/connect/connectors?${there}`, { type: 'oauth', name, service: SERVICE, data })).id;
    },
    list: async () => ok(await call('GET', `/v1/connect/connectors?${there}&limit=100`)).clients,
    get: (id) => call('GET', `/v1/connect/connectors/${id}?${there}`),
    connect: async (id) => {
      const subject = { type: 'user', id: 'vercel' };
      const { url } = ok(await server.authorize(id, { key: KEYS.workload, subject, returnUrl: RETURN_URL }));
      await new Visitor().connect(url, RETURN_URL);
      assert.equal(await peer.honours(ok(await server.token(id, { key: KEYS.workload, subject })).token), true);
      return subject;
    },
    remove: (id) => call('DELETE', `/v1/connect/connectors/${id}?${there}`),
    gone: 410,
  },
  sequin: {
    make: async (name) => {
      const body = { provider: SERVICE, name, client_id: conf.id, client_secret: conf.secret };
      return ok(await call('POST', '/sequin/v1/oauth-apps', body)).id;
    },
    list: async () => ok(await call('GET', '/sequin/v1/oauth-apps')).data,
    get: (id) => call('GET', `/sequin/v1/oauth-apps/${id}`),
    connect: async (id) => {
      const { provider } = ok(await call('GET', `/sequin/v1/oauth-apps/${id}`));
      const start = { oauth_app_id: id, credential_kind: `${provider}_oauth2`, redirect_url: RETURN_URL };
      const { start_url } = ok(await call('POST', '/sequin/v1/credentials/start-auth', start));
      const { arrived, page } = await new Visitor().open(start_url, { stopAt: RETURN_URL });
      assert.ok(arrived, page?.text);
      const body = { code: arrived.searchParams.get('code'), client_id: id, client_secret: conf.secret };
      const { credential } = ok(await server.call('POST', '/sequin/link/oauth2/token', { body }));
      return { type: 'connection', id: ok(await call('POST', '/sequin/v1/credentials', credential)).id };
    },
    remove: (id) => call('DELETE', `/sequin/v1/oauth-apps/${id}`),
    gone: 404,
  },
  datagrid: {
    make: async (name) => {
      const body = { name, connector_id: SERVICE, client_id: conf.id, client_secret: conf.secret };
      return ok(await call('POST', '/datagrid/v1/connection-providers', body)).id;
    },
    list: async () => ok(await call('GET', '/datagrid/v1/connection-providers?limit=100')).data,
    get: (id) => call('GET', `/datagrid/v1/connection-providers/${id}`),
    connect: async (id) => {
      const { connector_id } = ok(await call('GET', `/datagrid/v1/connection-providers/${id}`));
      const asked = ok(await call('POST', '/datagrid/v1/connections', { connector_id, connection_provider_id: id }));
      const visitor = new Visitor();
      const { page } = await visitor.press((await visitor.open(asked.redirect_url)).page);
      assert.match(page.text, /is connected/);
      const [newest] = ok(await call('GET', '/datagrid/v1/connections?limit=1')).data;
      return { type: 'connection', id: newest.id };
    },
    remove: (id) => call('DELETE', `/datagrid/v1/connection-providers/${id}`),
    gone: 404,
    // docs/datagrid.md: what has no OAuth client is left out.
    withoutKeys: true,
  },
  cohere: {
    make: async (name) => {
      const oauth = {
        client_id: conf.id,
        client_secret: conf.secret,
        authorize_url: `${peer.endpoint('authorization')}?${new URLSearchParams(peer.kind.authorizationParams)}`,
        token_url: peer.endpoint('token'),
        scope: peer.kind.scopes.join(' '),
      };
      return ok(await call('POST', '/cohere/v1/connectors', { name, url: endpoint.url, oauth })).connector.id;
    },
    list: async () => ok(await call('GET', '/cohere/v1/connectors?limit=100')).connectors,
    get: (id) => call('GET', `/cohere/v1/connectors/${id}`),
    connect: async (id) => {
      const query = new URLSearchParams({ after_token_redirect: RETURN_URL });
      const asked = ok(await call('POST', `/cohere/v1/connectors/${id}/oauth/authorize?${query}`));
      await new Visitor().connect(asked.redirect_url, RETURN_URL);
      assert.equal(ok(await call('GET', `/cohere/v1/connectors/${id}`)).connector.auth_status, 'valid');
      return { type: 'user', id: 'usr_alice' };
    },
    remove: (id) => call('DELETE', `/cohere/v1/connectors/${id}`),
    gone: 404,
    // The dialect has no field for the provider's revocation URL.
    revokesNothing: true,
  },
};
const NAMES = Object.keys(DIALECTS);

/** The dialects that list connections, beside the native API. */
const LISTS = {
  sequin: () => call('GET', '/sequin/v1/credentials'),
  datagrid: () => call('GET', '/datagrid/v1/connections?limit=100'),
};

/** Every dialect lists and gives the connector `id`, without its secret. */
async function everywhere(id, name) {
  for (const [dialect, { list, get }] of Object.entries(DIALECTS)) {
    const rows = (await list()).filter((row) => row.id === id);
    assert.deepEqual(rows.map((row) => row.name), [name], `${dialect} lists it once`);
    const got = await get(id);
    const body = ok(got);
    assert.equal((body.connector ?? body).name, name, dialect);
    assert.ok(!got.text.includes(conf.secret), `${dialect} shows no secret`);
  }
}

/** No dialect lists or gives it. */
async function nowhere(id) {
  for (const [dialect, { list, get, gone }] of Object.entries(DIALECTS)) {
    assert.equal((await get(id)).status, gone, dialect);
    assert.ok(!(await list()).some((row) => row.id === id), dialect);
  }
}

/** Makes a connector in `maker` that the project may use. */
async function made(maker, name) {
  const id = await DIALECTS[maker].make(name);
  ok(await call('PUT', `/api/v1/connectors/${id}/projects/${PROJECT}`, { environments: ['production'] }));
  return id;
}

/** The provider is told by a task of its own. */
const revoked = (token) => until(async () => !(await peer.honours(token)), 'the provider is told');

for (const [at, maker] of NAMES.entries())
  describe(`a connector that ${maker} made`, () => {
    for (const [step, user] of NAMES.entries()) {
      const ender = [1, 2, 3].map((more) => NAMES[(at + step + more) % NAMES.length]).find((name) => ![maker, user].includes(name));
      it(`is one in every dialect, connects by ${user} and ends in ${ender}`, async () => {
        const name = `Of ${maker} for ${user}`;
        const id = await made(maker, name);
        await everywhere(id, name);

        assert.equal((await token(id, { type: 'user', id: user })).status, 422, 'nobody has consented yet');
        const subject = await DIALECTS[user].connect(id);
        const served = ok(await token(id, subject)).token;
        assert.equal(await peer.honours(served), true);
        const [connection, ...others] = await connections(id);
        assert.deepEqual(others, []);
        for (const [dialect, list] of Object.entries(LISTS))
          assert.equal(ok(await list()).data.filter((row) => row.id === connection.id).length, 1, dialect);

        ok(await DIALECTS[ender].remove(id));
        await nowhere(id);
        for (const [dialect, list] of Object.entries(LISTS))
          assert.ok(!ok(await list()).data.some((row) => row.id === connection.id), dialect);
        assert.equal((await token(id, subject)).status, 404);
        if (!DIALECTS[maker].revokesNothing) await revoked(served);
      });
    }
  });

describe('a connection alone', () => {
  /** How the dialects that have a word for it end one. */
  const ENDS = {
    native: ({ id }) => call('DELETE', `/api/v1/connections/${id}`),
    vercel: ({ connector, subject }) => server.revoke(connector, { key: KEYS.admin, subject }),
    datagrid: ({ id }) => call('DELETE', `/datagrid/v1/connections/${id}`),
  };
  for (const [ender, end] of Object.entries(ENDS))
    it(`that ${ender} ends is over in all, and its connector stays`, async () => {
      const name = `To be left by ${ender}`;
      const connector = await made('datagrid', name);
      const subject = await DIALECTS.cohere.connect(connector);
      const served = ok(await token(connector, subject)).token;
      const [{ id }] = await connections(connector);
      ok(await end({ id, connector, subject }));
      await revoked(served);
      assert.equal((await token(connector, subject)).status, 422);
      for (const [dialect, list] of Object.entries(LISTS))
        assert.ok(!ok(await list()).data.some((row) => row.id === id), dialect);
      assert.equal(ok(await DIALECTS.cohere.get(connector)).connector.auth_status, undefined);
      await everywhere(connector, name);
    });
});

it('a connector of a type that a dialect has no word for is shown as far as it can be', async () => {
  for (const [name, { list, get, withoutKeys }] of Object.entries(DIALECTS)) {
    assert.equal((await list()).some((row) => row.id === KEPT.id), !withoutKeys, name);
    const got = await get(KEPT.id);
    assert.equal(got.status, withoutKeys ? 404 : 200, `${name}: ${got.text}`);
    assert.ok(!got.text.includes('sk_never_shown'), name);
  }
});

for (const [type, [data, client]] of Object.entries(TYPES))
  it(`a connector of type ${type} is listed by every dialect that has a form for it`, async () => {
    const { id } = ok(await call('POST', '/api/v1/connectors', { type, name: `A ${type}`, data }));
    for (const [name, { list, get, withoutKeys }] of Object.entries(DIALECTS)) {
      const shown = Boolean(client) || !withoutKeys;
      assert.equal((await list()).some((row) => row.id === id), shown, name);
      const got = await get(id);
      assert.equal(got.status, shown ? 200 : 404, `${name}: ${got.text}`);
      assert.ok(!got.text.includes('never_shown'), name);
    }
  });
