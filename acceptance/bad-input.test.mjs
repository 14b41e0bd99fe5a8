// Every endpoint, every way of asking wrongly: the dialect's error, the field's name, nothing written.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Grantry } from './lib/grantry.mjs';
import { KEYS, TEAM, world } from './lib/world.mjs';

const CONNECTOR = {
  type: 'oauth',
  name: 'Fine',
  uid: 'oauth/fine',
  data: {
    clientId: 'cid',
    clientSecret: 's',
    serverConfig: { authorization_endpoint: 'https://p.example.com/a', token_endpoint: 'https://p.example.com/t' },
    userAuthorization: { enabled: true },
  },
};
const NOTION = { service: 'notion', connectionMethod: 'oauth', name: 'Notes', data: { clientId: 'cid', clientSecret: 's' } };
const SUBJECT = { type: 'user', id: 'u1' };
const without = (object, key) => Object.fromEntries(Object.entries(object).filter(([name]) => name !== key));

/** Every call with a body, a good body for it, and the bad ones: [what, body, the field to be named]. */
const ENDPOINTS = [
  {
    route: 'POST /v1/connect/connectors',
    good: CONNECTOR,
    bad: [
      ['no type', without(CONNECTOR, 'type'), 'type'],
      ['an unknown type', { ...CONNECTOR, type: 'pigeon' }, 'type'],
      ['a type that is a number', { ...CONNECTOR, type: 7 }, 'type'],
      ['no data', without(CONNECTOR, 'data'), 'data'],
      ['data that is a list', { ...CONNECTOR, data: [] }, 'data'],
      ['no client id', { ...CONNECTOR, data: without(CONNECTOR.data, 'clientId') }, 'clientId'],
      ['a client id that is an object', { ...CONNECTOR, data: { ...CONNECTOR.data, clientId: {} } }, 'clientId'],
      ['a name that is too long', { ...CONNECTOR, name: 'n'.repeat(100_000) }, 'name'],
      ['a name with a control character', { ...CONNECTOR, name: 'a\u0007b' }, 'name'],
      ['a uid with a hash', { ...CONNECTOR, uid: 'oauth/a#b' }, 'uid'],
      ['a uid like an id', { ...CONNECTOR, uid: 'scl_mine' }, 'uid'],
      ['a colour that is none', { ...CONNECTOR, backgroundColor: 'red' }, 'backgroundColor'],
      ['environments without a list', { ...CONNECTOR, projectId: 'prj_1', environments: 'production' }, 'environments'],
      [
        'an endpoint that is no URL',
        { ...CONNECTOR, data: { ...CONNECTOR.data, serverConfig: { ...CONNECTOR.data.serverConfig, token_endpoint: 'x' } } },
        'token_endpoint',
      ],
    ],
  },
  {
    route: 'POST /v1/connect/connectors?made=by-service',
    good: NOTION,
    bad: [
      ['a connection method without a service', without(NOTION, 'service'), 'service'],
      ['a service that nobody knows', { ...NOTION, service: 'pigeon-post' }, 'service'],
      ['a method that the service lacks', { ...NOTION, connectionMethod: 'fax' }, 'connectionMethod'],
      ['a method that is a list', { ...NOTION, connectionMethod: ['oauth'] }, 'connectionMethod'],
      ['another type than the method’s', { ...NOTION, type: 'api-key' }, 'type'],
      ['a target where there is none', { ...NOTION, target: 'api' }, 'target'],
      ['params that nobody asks for', { ...NOTION, params: { domain: 'x' } }, 'params.domain'],
      ['params that are a text', { ...NOTION, params: 'domain=x' }, 'params'],
      ['a param that is a number', { ...NOTION, service: 'okta', params: { domain: 7 } }, 'params.domain'],
      ['a param that is too long', { ...NOTION, service: 'okta', params: { domain: 'x'.repeat(257) } }, 'params.domain'],
      ['a param that leads elsewhere', { ...NOTION, service: 'okta', params: { domain: 'evil.example/x?' } }, 'domain'],
      ['a param left out', { ...NOTION, service: 'okta' }, 'domain'],
      ['params without a method', { ...without(NOTION, 'connectionMethod'), type: 'oauth', params: { domain: 'x' } }, 'params'],
      ['a target without a method', { ...without(NOTION, 'connectionMethod'), type: 'oauth', target: 'api' }, 'target'],
      ['an icon that is neither digest nor URL', { ...NOTION, icon: 'icon.png' }, 'icon'],
      ['an icon that was not uploaded', { ...NOTION, icon: 'a'.repeat(40) }, 'icon'],
      ['an icon inside the house', { ...NOTION, icon: 'http://10.0.0.1/icon.png' }, ''],
      ['a destination without triggers', { ...NOTION, triggerDestination: { projectId: 'prj_1' } }, 'triggerDestination'],
    ],
  },
  ...['v1', 'v2'].map((version) => ({
    route: `PATCH /${version}/connect/connectors/scl_1`,
    good: { name: 'Acme' },
    bad: [
      ['a field that is not there', { nmae: 'x' }, 'nmae'],
      ['another type', { type: 'api-key' }, 'type'],
      ['an empty name', { name: ' ' }, 'name'],
      ['a name that is a number', { name: 7 }, 'name'],
      ['a uid with white space', { uid: 'a b' }, 'uid'],
      ['a reserved uid', { uid: 'vc/x' }, 'uid'],
      ['triggers that are a word', { triggers: 'on' }, 'triggers'],
      ['events that are a text', { events: 'push' }, 'events'],
      ['a colour that is none', { accentColor: '#12345' }, 'accentColor'],
      ['an icon that was not uploaded', { icon: 'a'.repeat(40) }, 'icon'],
      ['data that is a list', { data: [] }, 'data'],
      ['a client id that goes', { data: { clientId: '' } }, 'clientId'],
      ['values that an oauth connector has not', { data: { toAdd: [{ value: 'k' }] } }, 'toAdd'],
    ],
  })),
  {
    route: 'PATCH /v1/connect/connectors/scl_1/trigger-destinations',
    good: { destinations: [] },
    bad: [
      ['no destinations', {}, 'destinations'],
      ['destinations that are an object', { destinations: {} }, 'destinations'],
      ['a destination that is a text', { destinations: ['prj_1'] }, 'destinations[0]'],
      ['a project that is not there', { destinations: [{ projectId: 'prj_none' }] }, 'destinations[0]'],
      ['four', { destinations: [1, 2, 3, 4].map((n) => ({ projectId: 'prj_1', path: `/${n}` })) }, 'destinations'],
      ['an unknown field', { destinations: [{ projectId: 'prj_1', url: 'x' }] }, 'destinations[0].url'],
    ],
  },
  {
    route: 'POST /v1/connect/connectors/scl_1/contacts',
    good: { phoneNumber: '+12025551234' },
    bad: [
      ['no number', {}, 'phoneNumber'],
      ['a number without country', { phoneNumber: '02025551234' }, 'phoneNumber'],
      ['a number with letters', { phoneNumber: '+1202555CALL' }, 'phoneNumber'],
      ['a type that has no contacts', { phoneNumber: '+12025551234' }, 'connector'],
    ],
  },
  {
    route: 'POST /v1/connect/connectors/scl_1/projects/prj_1',
    good: { environments: ['production'] },
    bad: [
      ['no environments', {}, 'environments'],
      ['an empty list', { environments: [] }, 'environments'],
      ['an unknown environment', { environments: ['moon'] }, 'environments'],
      ['an environment that is a number', { environments: [1] }, 'environments'],
    ],
  },
  {
    route: 'POST /v1/connect/token/scl_1',
    good: { subject: SUBJECT },
    bad: [
      ['a subject without a type', { subject: { id: 'u1' } }, 'subject'],
      ['a user with an empty id', { subject: { type: 'user', id: '' } }, 'subject'],
      ['a user id that is too long', { subject: { type: 'user', id: 'u'.repeat(100_000) } }, 'subject'],
      ['scopes that are a text', { subject: SUBJECT, scopes: 'a b' }, 'scopes'],
      ['a negative buffer', { subject: SUBJECT, validityBufferMs: -1 }, 'validityBufferMs'],
    ],
  },
  {
    route: 'POST /v1/connect/authorize/scl_1',
    good: { subject: SUBJECT },
    bad: [
      ['a user with an empty id', { subject: { type: 'user', id: '' } }, 'subject'],
      ['a return URL elsewhere', { subject: SUBJECT, returnUrl: 'https://evil.example/' }, 'returnUrl'],
      ['a return URL that runs', { subject: SUBJECT, returnUrl: 'javascript:alert(1)' }, 'returnUrl'],
      ['a return URL of another scheme-relative host', { subject: SUBJECT, returnUrl: '//evil.example' }, 'returnUrl'],
      ['a webhook without TLS', { subject: SUBJECT, webhook: 'http://example.com/' }, 'webhook'],
      ['a life of no time', { subject: SUBJECT, expiresInMs: 0 }, 'expiresInMs'],
    ],
  },
  {
    route: 'DELETE /v1/connect/connectors/scl_1/tokens',
    good: { subject: SUBJECT },
    bad: [
      ['a user with an empty id', { subject: { type: 'user', id: '' } }, 'subject'],
      ['a subject that is a text', { subject: 'u1' }, 'subject'],
    ],
  },
];

let server;
before(async () => {
  server = await Grantry.start(
    world({
      connectors: [
        {
          id: 'scl_1',
          uid: 'oauth/acme',
          team: TEAM,
          name: 'Acme',
          type: 'oauth',
          data: CONNECTOR.data,
          links: [{ project: 'prj_1', environments: ['production'] }],
        },
      ],
    }),
  );
});
after(() => server?.stop());

/** Sends raw bytes. */
async function send(route, body, headers = {}) {
  const [method, path] = route.split(' ');
  const answer = await fetch(server.url + path, {
    method,
    body,
    headers: { authorization: `Bearer ${KEYS.admin}`, 'content-type': 'application/json', ...headers },
  });
  return { status: answer.status, text: await answer.text() };
}

/** All that could have been written, but for the log. */
async function everything() {
  const lists = ['connectors', 'connections'];
  const answers = await Promise.all(lists.map((list) => server.call('GET', `/api/v1/${list}`, { key: KEYS.admin })));
  for (const { status, text } of answers) assert.equal(status, 200, text);
  return answers.map(({ text }) => text).join('\n');
}

/** Refused in the Vercel dialect's shape, `field` named, and nothing changed. */
async function refused(statuses, field, ask) {
  const before = await everything();
  const { status, text } = await ask();
  assert.ok([statuses].flat().includes(status), `${status} ${text}`);
  const { error } = JSON.parse(text);
  assert.ok(error.code && error.message, text);
  if (field) assert.ok(error.message.includes(field), `${field} is not named: ${text}`);
  assert.equal(await everything(), before);
}

for (const { route, good, bad } of ENDPOINTS)
  describe(route, () => {
    for (const [what, body, field] of bad)
      it(what, () => refused(400, field, () => send(route, JSON.stringify(body))));

    it('malformed JSON', () => refused(400, '', () => send(route, '{"subject":')));
    it('JSON nested 200 000 deep', () => refused(400, '', () => send(route, '['.repeat(200_000))));
    it('a list', () => refused(400, '', () => send(route, '[]')));
    it('bytes that are no UTF-8', () => refused(400, '', () => send(route, Buffer.from([0x22, 0xff, 0x22]))));
    it('another content type', () =>
      refused([400, 415], '', () => send(route, JSON.stringify(good), { 'content-type': 'text/plain' })));
    it('a body of 2 MiB', () =>
      refused(413, '', () => send(route, JSON.stringify({ ...good, junk: 'x'.repeat(2 * 1024 * 1024) }))));
    it('no key', () => refused(401, '', () => send(route, JSON.stringify(good), { authorization: '' })));
    it('a key that nobody has', () =>
      refused(401, '', () => send(route, JSON.stringify(good), { authorization: 'Bearer tok_nobody' })));
  });

describe('paths', () => {
  for (const [what, route, status] of [
    ['an unknown path', 'POST /v1/connect/nothing', 404],
    ['an unknown connector', 'POST /v1/connect/token/scl_none', 404],
    ['a connector with a broken escape', 'POST /v1/connect/token/oauth%2', 400],
    ['a connector with a NUL in it', 'POST /v1/connect/token/%00', 400],
    ['a connector of 10 000 letters', `POST /v1/connect/token/${'x'.repeat(10_000)}`, [400, 404, 414]],
    ['a method that is not there', 'PUT /v1/connect/connectors', 405],
  ])
    it(what, () => refused(status, '', () => send(route, JSON.stringify({ subject: SUBJECT }))));
});
