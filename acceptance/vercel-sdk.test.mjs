// npm @vercel/sdk, unmodified, with another base URL.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { HTTPClient, Vercel } from '@vercel/sdk';
import { Grantry } from './lib/grantry.mjs';
import { KEYS, PROJECT as projectId, TEAM as teamId, world } from './lib/world.mjs';

let server;
const sent = [];
before(async () => (server = await Grantry.start(world())));
after(() => server?.stop());

/** The SDK with a key; the URLs that it sends are kept. */
function sdk(bearerToken = KEYS.admin) {
  const httpClient = new HTTPClient({
    fetcher: (input, init) => {
      sent.push(input instanceof Request ? input.url : `${input}`);
      return fetch(input, init);
    },
  });
  return new Vercel({ serverURL: server.url, bearerToken, httpClient }).connect;
}

const create = (fields) =>
  sdk().createConnector({
    teamId,
    connectCreateConnectorRequest: {
      type: 'oauth',
      name: 'Acme CRM',
      data: {
        clientId: 'cid',
        clientSecret: 'never-shown',
        serverConfig: {
          authorizationEndpoint: 'https://crm.example.com/authorize',
          tokenEndpoint: 'https://crm.example.com/token',
        },
        userAuthorization: { enabled: true },
      },
      ...fields,
    },
  });

const failsWith = (statusCode, code) => (error) => {
  assert.equal(error.name, 'ConnectError', `${error}`);
  assert.ok([statusCode].flat().includes(error.statusCode), `${error.statusCode} ${error.body}`);
  if (code) assert.equal(error.error.code, code);
  assert.ok(error.error.code && error.error.message);
  return true;
};

describe('a connector', () => {
  it('is created, and found by its id and by its uid, whose slash stays in one segment', async () => {
    const made = await create({ uid: 'oauth/found' });
    assert.match(made.id, /^scl_/);
    assert.deepEqual([made.uid, made.type, made.name], ['oauth/found', 'oauth', 'Acme CRM']);
    assert.ok(Math.abs(made.createdAt - Date.now()) < 60_000, `${made.createdAt}`);

    assert.equal((await sdk().getConnector({ teamId, connector: made.id })).uid, 'oauth/found');
    assert.equal((await sdk().getConnector({ teamId, connector: 'oauth/found' })).id, made.id);
    assert.match(sent.at(-1), /\/connectors\/oauth%2Ffound\?/);
  });

  it('never shows its secret', async () => {
    const made = await create({ uid: 'oauth/secret' });
    const seen = await server.call('GET', `/v1/connect/connectors/${made.id}`, { key: KEYS.admin });
    assert.equal(seen.status, 200);
    assert.doesNotMatch(seen.text + JSON.stringify(made), /never-shown/);
  });

  it('is linked to a project when it is created, in the environments asked for', async () => {
    const made = await create({ uid: 'oauth/born-linked', projectId, environments: ['production', 'production'] });
    const link = await sdk().getConnectorProjectConnection({ teamId, connector: made.id, projectId });
    assert.deepEqual(link.enabledEnvironments, ['production']);
  });

  it('is linked, linked otherwise, and unlinked', async () => {
    const { id: connector } = await create({ uid: 'oauth/linked' });
    for (const environments of [['production', 'preview'], ['development']]) {
      const link = await sdk().upsertConnectorProjectConnection({
        teamId,
        connector: 'oauth/linked',
        projectId,
        connectUpsertProjectConnectionRequest: { environments },
      });
      assert.deepEqual([link.connectorId, link.project.id], [connector, projectId]);
      assert.deepEqual([...link.enabledEnvironments].sort(), environments.sort());
    }
    const seen = await sdk().getConnectorProjectConnection({ teamId, connector, projectId });
    assert.deepEqual(seen.enabledEnvironments, ['development']);
    await sdk().deleteConnectorProjectConnection({ teamId, connector, projectId });
    await assert.rejects(sdk().getConnectorProjectConnection({ teamId, connector, projectId }), failsWith(404));
  });

  it('is gone once deleted, and its uid is free at once', async () => {
    const { id: connector } = await create({ uid: 'oauth/short-lived' });
    await sdk().deleteConnector({ teamId, connector: 'oauth/short-lived' });
    await assert.rejects(sdk().getConnector({ teamId, connector }), failsWith(410));
    assert.notEqual((await create({ uid: 'oauth/short-lived' })).id, connector);
  });
});

describe('a refusal is a ConnectError with a code', () => {
  let connector;
  before(async () => ({ id: connector } = await create({ uid: 'oauth/taken' })));

  const REFUSED = {
    'a uid that is taken': [409, 'conflict', () => create({ uid: 'oauth/taken' })],
    'a connector that never was': [404, 'not_found', () => sdk().getConnector({ teamId, connector: 'scl_none' })],
    'an unknown key': [401, 'unauthorized', () => sdk('tok_nobody').getConnector({ teamId, connector })],
    "another team's connector": [404, 'not_found', () => sdk(KEYS.stranger).getConnector({ teamId: 'team_2', connector })],
    "another team's key": [[403, 404], , () => sdk(KEYS.stranger).getConnector({ teamId, connector })],
    'a key that may only read tokens': [403, 'forbidden', () => sdk(KEYS.tokenOnly).deleteConnector({ teamId, connector })],
    'a member who deletes': [403, 'forbidden', () => sdk(KEYS.member).deleteConnector({ teamId, connector })],
    'a uid with white space': [400, 'bad_request', () => create({ uid: 'oauth/a b' })],
    'a reserved uid': [400, 'bad_request', () => create({ uid: 'vc/acme' })],
    'a project that is not there': [404, 'not_found', () => create({ uid: 'oauth/lost', projectId: 'prj_none' })],
  };
  for (const [what, [status, code, act]] of Object.entries(REFUSED))
    it(what, () => assert.rejects(act, failsWith(status, code)));
});
