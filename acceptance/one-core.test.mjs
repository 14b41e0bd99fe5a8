// One core: a connector is the same row in every dialect, whichever made it. Each dialect makes one, which is listed
// and fetched in all of them, used for a real connection, and ended in yet another.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Grantry } from './lib/grantry.mjs';
import { CLIENTS, Peer } from './lib/peers.mjs';
import { connect, needsConsent, user } from './lib/provider-suite.mjs';
import { KEYS, PROJECT, TEAM, world } from './lib/world.mjs';

const ADMIN = { key: KEYS.admin };
const { conf } = CLIENTS;

const created = (answer) => {
  assert.ok([200, 201].includes(answer.status), answer.text);
  return answer.body;
};

/**
 * What every dialect can do with a connector. `ends` ends the connections of one by deleting it, in the dialect's own
 * way; a dialect that can end connections alone does that in its own suite.
 */
const DIALECTS = {
  native: {
    make: async (server) =>
      created(
        await server.call('POST', '/api/v1/connectors', {
          ...ADMIN,
          body: { type: 'oauth', name: 'Made natively', service: 'linear', data: { clientId: conf.id, clientSecret: conf.secret } },
        }),
      ).id,
    list: async (server) => (await server.call('GET', '/api/v1/connectors?limit=100', ADMIN)).body.data,
    get: (server, id) => server.call('GET', `/api/v1/connectors/${id}`, ADMIN),
    ends: (server, id) => server.call('DELETE', `/api/v1/connectors/${id}`, ADMIN),
    gone: 404,
  },
  vercel: {
    make: async (server) =>
      created(
        await server.call('POST', `/v1/connect/connectors?teamId=${TEAM}`, {
          ...ADMIN,
          body: { type: 'oauth', name: 'Made at Vercel', service: 'linear', data: { clientId: conf.id, clientSecret: conf.secret } },
        }),
      ).id,
    list: async (server) => (await server.call('GET', `/v1/connect/connectors?teamId=${TEAM}&limit=100`, ADMIN)).body.clients,
    get: (server, id) => server.call('GET', `/v1/connect/connectors/${id}?teamId=${TEAM}`, ADMIN),
    ends: (server, id) => server.call('DELETE', `/v1/connect/connectors/${id}?teamId=${TEAM}`, ADMIN),
    gone: 410,
  },
  sequin: {
    make: async (server) =>
      created(
        await server.call('POST', '/sequin/v1/oauth-apps', {
          ...ADMIN,
          body: { provider: 'linear', name: 'Made at Sequin', client_id: conf.id, client_secret: conf.secret },
        }),
      ).id,
    list: async (server) => (await server.call('GET', '/sequin/v1/oauth-apps', ADMIN)).body.data,
    get: (server, id) => server.call('GET', `/sequin/v1/oauth-apps/${id}`, ADMIN),
    ends: (server, id) => server.call('DELETE', `/sequin/v1/oauth-apps/${id}`, ADMIN),
    gone: 404,
  },
};
const NAMES = Object.keys(DIALECTS);

describe('a connector', () => {
  let server, peer;
  before(async () => {
    server = await Grantry.start();
    peer = await Peer.start('oidc-provider', { callbacks: [server.callback] });
    const service = {
      id: 'linear',
      name: 'Linear',
      kind: 'oauth2',
      issuer: peer.url,
      authorization_endpoint: peer.endpoint('authorization'),
      token_endpoint: peer.endpoint('token'),
      revocation_endpoint: peer.endpoint('revocation'),
      token_endpoint_auth_method: 'client_secret_basic',
      scope_separator: 'space',
      common_scopes: peer.kind.scopes,
    };
    // An API key is what some dialects have no word for.
    const key = {
      id: 'scl_key',
      uid: 'keys/one',
      team: TEAM,
      name: 'A stored key',
      type: 'api-key',
      service: 'stripe',
      data: { values: [{ value: 'sk_never_shown' }] },
    };
    await server.apply(world({ services: [service], connectors: [key] }));
  });
  after(async () => {
    await server?.stop();
    await peer?.stop();
  });

  NAMES.forEach((maker, at) => {
    const ender = NAMES[(at + 1) % NAMES.length];
    it(`that ${maker} made is one in every dialect, gives tokens, and ends in ${ender}`, async () => {
      const id = await DIALECTS[maker].make(server);
      for (const [name, dialect] of Object.entries(DIALECTS)) {
        const rows = await dialect.list(server);
        assert.equal(rows.filter((row) => row.id === id).length, 1, `${name} lists it once`);
        const got = await dialect.get(server, id);
        assert.equal(got.status, 200, `${name}: ${got.text}`);
        assert.ok(!got.text.includes(conf.secret), `${name} shows no secret`);
      }
      const route = `/api/v1/connectors/${id}/projects/${PROJECT}`;
      created(await server.call('PUT', route, { ...ADMIN, body: { environments: ['production'] } }));
      const who = user(`of-${maker}`);
      await needsConsent(server, id, who);
      const { token } = await connect(server, id, who);
      assert.equal(await peer.honours(token), true);
      const credentials = (await server.call('GET', '/sequin/v1/credentials', ADMIN)).body.data;
      assert.equal(credentials.filter((row) => row.oauth_app_id === id).length, 1);

      const ended = await DIALECTS[ender].ends(server, id);
      assert.ok(ended.status < 300, ended.text);
      for (const [name, dialect] of Object.entries(DIALECTS)) {
        assert.equal((await dialect.get(server, id)).status, dialect.gone, name);
        assert.ok(!(await dialect.list(server)).some((row) => row.id === id), name);
      }
      assert.equal(await stays(() => peer.honours(token), false), false, 'revoked at the provider');
    });
  });

  it('of a type that a dialect has no word for is shown as far as it can be', async () => {
    for (const [name, dialect] of Object.entries(DIALECTS)) {
      assert.ok((await dialect.list(server)).some((row) => row.id === 'scl_key'), name);
      const got = await dialect.get(server, 'scl_key');
      assert.equal(got.status, 200, `${name}: ${got.text}`);
      assert.ok(!got.text.includes('sk_never_shown'), name);
    }
  });
});

/** The provider is told by a task of its own: asked again until it says `wanted`, or for the last time. */
async function stays(ask, wanted) {
  for (let tries = 0; tries < 100; tries++) {
    if ((await ask()) === wanted) return wanted;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return ask();
}
