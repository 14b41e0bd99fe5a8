// Every type of connector through npm @vercel/sdk, unmodified: all that a type's `data` may hold goes in, and what comes
// out is compared by value. The SDK's own models are the referee of both.
import assert from 'node:assert/strict';
import { createHash, createPublicKey, generateKeyPairSync } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { Vercel } from '@vercel/sdk';
import * as jose from 'jose';
import { Grantry } from './lib/grantry.mjs';
import { mcpServer } from './lib/mcp.mjs';
import { KEYS, PROJECT as projectId, TEAM as teamId, world } from './lib/world.mjs';

let server;
before(async () => (server = await Grantry.start(world())));
after(() => server?.stop());

const sdk = (bearerToken = KEYS.admin) => new Vercel({ serverURL: server.url, bearerToken }).connect;
const create = (connectCreateConnectorRequest) => sdk().createConnector({ teamId, connectCreateConnectorRequest });
const read = (connector) => sdk().getConnector({ teamId, connector });
/** The SDK does not model `data` of what it reads. */
const shown = async (connector) => {
  const answer = await server.call('GET', `/v1/connect/connectors/${encodeURIComponent(connector)}`, { key: KEYS.admin });
  assert.equal(answer.status, 200, answer.text);
  return answer;
};

const privateKeyPem = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
}).privateKey;
const at = (path) => `https://p.example.com/${path}`;
const expiresAt = Date.now() + 86_400_000;

/** A secret, that must not be seen again. */
const secret = (name) => `never-shown-${name}`;
const [REFINED, WHOLE] = [true, false].map((supportsRefinement) => ({ crossInstallation: false, supportsRefinement }));

/**
 * Per type: what goes in, without and with secrets; what it is called; whom it serves, and whether they may narrow; what
 * else it can. What is left out is not compared.
 */
const TYPES = {
  oauth: {
    data: {
      clientId: 'c', clientName: 'n', tokenEndpointAuthMethod: 'client_secret_basic', responseType: 'code', pkceRequired: true,
      codeChallengeMethod: 'S256', userAuthorization: { enabled: true, scopes: ['a'] }, refreshTokens: { enabled: true },
      clientCredentials: { enabled: true, scopes: ['b'] },
      jwtBearer: {
        enabled: true, scopes: ['x'], sub: 's', iss: 'i', aud: 'a', additionalClaims: { k: 1 }, ttl: 60, useClientCredentials: true,
      },
      clientAssertion: { type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer', ttl: 60, claims: { a: 1 } },
      forwardedClaims: { idToken: ['email'] }, defaultAudience: 'a', defaultTokenExpiresIn: 600,
      authorizationUrlParams: { prompt: 'consent' },
      serverConfig: {
        issuer: 'https://p.example.com', authorizationEndpoint: at('a'), tokenEndpoint: at('t'), userinfoEndpoint: at('u'),
        jwksUri: at('j'), revocationEndpoint: at('r'), introspectionEndpoint: at('i'), scopesSupported: ['a'],
        responseTypesSupported: ['code'], grantTypesSupported: ['authorization_code'], promptValuesSupported: ['login'],
        clientIdMetadataDocumentSupported: false, serviceDocumentation: at('docs'),
      },
    },
    secrets: { clientSecret: secret('oauth') },
    is: { typeName: 'OAuth', service: 'p.example.com', supportedSubjectTypes: ['user', 'app', 'jwt-bearer'], supportsRevocation: true },
    users: REFINED, app: REFINED,
  },
  'api-key': {
    data: { serviceUrls: [at('api')], instructions: '**Paste** it', subjectType: 'app' },
    secrets: { values: [{ value: secret('key'), scope: 'read', expiresAt }] },
    is: { typeName: 'API key', supportedSubjectTypes: ['app'], supportsRevocation: false, supportsTriggers: false },
    app: WHOLE,
  },
  github: {
    data: {
      appId: 1, appSlug: 'acme', appName: 'Acme', clientId: 'Iv1.c', owner: { type: 'Organization', id: 1, slug: 'o' },
      extras: { a: 1 },
    },
    secrets: { clientSecret: secret('github'), privateKeyPem, webhookSecret: secret('hook') },
    is: {
      typeName: 'GitHub', service: 'github', supportedSubjectTypes: ['user', 'app'], supportsInstallation: true,
      supportsTriggers: true, supportsRevocation: true, clientUrl: 'https://github.com/apps/acme',
    },
    users: REFINED, app: { ...REFINED, supportedAuthorizationDetails: ['github_app_installation'] },
  },
  slack: {
    data: {
      appId: 'A', appName: 'n', clientId: 'c', slackTeam: { id: 'T', name: 'n', domain: 'd' }, botScopes: ['chat:write'],
      userScopes: ['users:read'], slashCommands: [{ command: '/x', description: 'd', usageHint: 'h', shouldEscape: true }],
      shortcuts: [{ type: 'global', name: 'n', callbackId: 'c', description: 'd' }], extras: { a: [1] },
    },
    secrets: { clientSecret: secret('slack'), signingSecret: secret('signing'), verificationToken: secret('verification') },
    is: {
      typeName: 'Slack', service: 'slack', supportedSubjectTypes: ['user', 'app'], supportsInstallation: true,
      supportsTriggers: true, supportsRevocation: true,
    },
    users: REFINED, app: REFINED,
  },
  salesforce: {
    data: { consumerKey: 'k', loginHost: 'login.salesforce.com' },
    secrets: { consumerSecret: secret('salesforce') },
    is: { typeName: 'Salesforce', service: 'salesforce', supportedSubjectTypes: ['user'], supportsRevocation: true, supportsTriggers: false },
    users: REFINED,
  },
  snowflake: {
    data: { accountIdentifier: 'acme-prod', clientName: 'n', defaultSessionRole: 'ANALYST', extras: { a: 1 } },
    is: { typeName: 'Snowflake', service: 'snowflake', supportedSubjectTypes: [], supportsTriggers: false },
  },
  'snowflake-wif': {
    data: { accountIdentifier: 'acme-prod', clientName: 'n', defaultSessionRole: 'ANALYST', audience: 'acme', extras: { a: 1 } },
    is: { service: 'snowflake', supportedSubjectTypes: ['app'], supportsInstallation: false, supportsRevocation: false },
    app: WHOLE,
  },
  linear: {
    data: {
      clientId: 'c', appId: 'a', appName: 'n', appScopes: ['read'], userScopes: ['read', 'write'],
      ownerOrganization: { id: 'i', slug: 's', name: 'n', logoUrl: at('l.png') },
      application: { id: 'i', clientId: 'c', name: 'n', description: 'x', developer: 'd', developerUrl: at(''), imageUrl: at('i.png') },
      extras: { a: 1 },
    },
    secrets: { clientSecret: secret('linear'), webhookSecret: secret('hook') },
    is: { typeName: 'Linear', service: 'linear', supportedSubjectTypes: ['user', 'app'], supportsTriggers: true },
    users: REFINED, app: REFINED,
  },
  photon: {
    data: { projectId: 'p' },
    secrets: { projectSecret: secret('photon'), webhookSecret: secret('hook') },
    is: { typeName: 'Photon', supportedSubjectTypes: ['app'], supportsTriggers: true, supportsRevocation: false },
    app: WHOLE,
  },
  sendblue: {
    data: { apiKeyId: 'k', phoneNumbers: ['+14155550100'] },
    secrets: { apiSecretKey: secret('sendblue') },
    is: { typeName: 'Sendblue', supportedSubjectTypes: ['app'], supportsTriggers: true },
    app: WHOLE,
  },
  linq: {
    data: { phoneNumbers: ['+14155550100', '+14155550101'] },
    secrets: { apiToken: secret('linq') },
    is: { typeName: 'Linq', supportedSubjectTypes: ['app'], supportsTriggers: true },
    app: WHOLE,
  },
  custom: {
    data: {
      clientId: 'c', serverConfig: { authorization_endpoint: at('a'), token_endpoint: at('t') },
      userAuthorization: { enabled: true, scopes: ['a'] },
    },
    secrets: { clientSecret: secret('custom') },
    is: { typeName: 'Custom', supportedSubjectTypes: ['user'], supportsTriggers: false },
    users: REFINED,
  },
  discord: {
    data: { applicationId: '17' },
    secrets: { botToken: secret('bot'), clientSecret: secret('discord') },
    is: { typeName: 'Discord', service: 'discord', supportedSubjectTypes: ['user', 'app'], supportsTriggers: true },
    app: WHOLE,
  },
  'microsoft-entra': {
    data: { clientId: 'c', tenantId: 'contoso.example', userScopes: ['User.Read'] },
    secrets: { clientSecret: secret('entra') },
    is: { typeName: 'Microsoft Entra', supportedSubjectTypes: ['user', 'app'], supportsTriggers: false },
    users: REFINED, app: REFINED,
  },
  'microsoft-teams': {
    data: { appId: 'a', tenantId: 'botframework.com' },
    secrets: { clientSecret: secret('teams') },
    is: { typeName: 'Microsoft Teams', supportedSubjectTypes: ['user', 'app'], supportsTriggers: true },
    users: REFINED, app: REFINED,
  },
  'aws-alpha': {
    data: { roleArn: 'arn:aws:iam::123456789012:role/team/deploy', region: 'eu-central-1', extras: { a: 1 } },
    is: {
      typeName: 'AWS', service: 'aws', supportedSubjectTypes: ['app'], supportsTriggers: false, supportsRevocation: false,
      docsite: 'https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_create_for-idp_oidc.html',
      devsite: 'https://console.aws.amazon.com/iam/',
    },
    app: WHOLE,
  },
};

/** The members of `seen` that `expected` has. */
const like = (seen, expected) => seen && Object.fromEntries(Object.keys(expected).map((name) => [name, seen[name]]));

describe('a connector of every type', () => {
  for (const [type, { data, secrets = {}, is, users, app }] of Object.entries(TYPES))
    it(type, async () => {
      const uid = `${type}/whole`;
      const made = await create({ type, uid, name: 'Whole', projectId, environments: ['production'], data: { ...data, ...secrets } });
      assert.deepEqual(await read(uid), made, 'what is made is what is read');
      const expected = { type, uid, name: 'Whole', displayName: 'Whole', createdBy: { type: 'user', id: 'usr_alice' }, ...is };
      assert.deepEqual(like(made, expected), expected);
      for (const [what, of] of [['userTokens', users], ['appTokens', app]])
        if (of) assert.deepEqual(like(made[what], of), of, what);
      const served = new Set(made.supportedSubjectTypes);
      assert.deepEqual([!!made.userTokens, !!made.appTokens], [served.has('user'), served.has('app')], 'no more than it serves');
      assert.equal(made.redirectUri, server.callback);

      const { body, text } = await shown(uid);
      for (const [name, value] of Object.entries(data))
        if (name !== 'serverConfig') assert.deepEqual(body.data[name], value, name);
      for (const name of Object.keys(secrets)) if (name !== 'values') assert.equal(body.data[name], undefined, name);
      assert.doesNotMatch(text + JSON.stringify(made), /never-shown|PRIVATE KEY/);
    });

  it('is one of those that the SDK knows', () => {
    assert.deepEqual(Object.keys(TYPES).toSorted(), [
      'api-key', 'aws-alpha', 'custom', 'discord', 'github', 'linear', 'linq', 'microsoft-entra', 'microsoft-teams', 'oauth',
      'photon', 'salesforce', 'sendblue', 'slack', 'snowflake', 'snowflake-wif',
    ]);
  });

  it('keeps the server’s endpoints in the spelling of RFC 8414, which the SDK writes', async () => {
    const { serverConfig } = (await shown('oauth/whole')).body.data;
    assert.deepEqual(
      [serverConfig.token_endpoint, serverConfig.revocation_endpoint, serverConfig.prompt_values_supported],
      [at('t'), at('r'), ['login']],
    );
    assert.deepEqual(Object.keys(serverConfig).filter((name) => /[A-Z]/.test(name)), []);
  });

  it('shows of a key when it ends and what it is for', async () => {
    const [value, ...others] = (await shown('api-key/whole')).body.data.values;
    assert.deepEqual([value.scope, value.expiresAt, value.value, others], ['read', expiresAt, undefined, []]);
  });
});

describe('a connector that is made by its service', () => {
  it('has the method that was asked for, and what the catalogue knows', async () => {
    const made = await create({
      service: 'okta', connectionMethod: 'oauth', params: { domain: 'acme.okta.com' }, name: 'staff',
      data: { clientId: 'c', clientSecret: secret('okta') },
    });
    assert.deepEqual([made.type, made.service, made.connectionMethod, made.uid], ['oauth', 'okta', 'oauth', 'okta/staff']);
    assert.deepEqual((await shown(made.id)).body.data.variables, { domain: 'acme.okta.com' });
    assert.equal((await read(made.id)).connectionMethod, 'oauth');
  });

  it('has the service’s own type', async () => {
    const made = await create({
      service: 'github', connectionMethod: 'github-app', name: 'code',
      data: { appId: 2, appSlug: 'two', appName: 'Two', clientId: 'Iv1.d', privateKeyPem },
    });
    assert.deepEqual([made.type, made.connectionMethod], ['github', 'github-app']);
  });
});

describe('an installed application', () => {
  const install = async (connector, external_id, more = {}) => {
    const added = await server.call('POST', `/api/v1/connectors/${connector}/installations`, { key: KEYS.admin, body: { external_id, ...more } });
    assert.equal(added.status, 201, added.text);
  };
  const update = (connector, connectUpdateConnectorRequest) =>
    sdk().updateConnector({ teamId, connector, connectUpdateConnectorRequest });

  it('has a default installation', async () => {
    const { id } = await read('github/whole');
    await install(id, '100', { default: true });
    assert.equal((await read(id)).defaultInstallationId, '100');
  });

  it('has to be installed again for further scopes, which Slack has to be told of', async () => {
    const { id } = await read('slack/whole');
    const more = await update(id, { data: { botScopes: ['chat:write', 'files:read'] } });
    assert.equal(more.reinstallNeeded, undefined, 'nobody has installed it');
    assert.equal(more.serviceSync.status, 'required');
    const [{ fields, message }] = more.serviceSync.errors;
    assert.deepEqual(fields, ['botScopes']);
    assert.ok(message);
    await install(id, 'T1');
    const again = await update(id, { data: { botScopes: ['chat:write', 'files:read', 'files:write'] }, events: ['app_mention'] });
    assert.deepEqual([again.reinstallNeeded, again.serviceSync.errors.flatMap(({ fields }) => fields)], [true, ['botScopes', 'events']]);
    assert.deepEqual([typeof again.connector.reinstallAt, (await read(id)).reinstallAt], ['number', again.connector.reinstallAt]);
    const less = await update(id, { data: { botScopes: ['chat:write'] } });
    assert.deepEqual([less.reinstallNeeded, less.reconsentNeeded, less.serviceSync.status], [undefined, undefined, 'required']);
    const same = await update(id, { data: { botScopes: ['chat:write'] } });
    assert.equal(same.serviceSync, undefined);
  });

  it('has to be installed again for another client, and its users, if it has any, to consent to it', async () => {
    const other = await update('github/whole', { data: { clientId: 'Iv1.other' } });
    assert.deepEqual([other.reinstallNeeded, other.reconsentNeeded], [true, undefined]);
    const { id: connector } = await read('microsoft-entra/whole');
    await server.apply(world({ connections: [
      { team: teamId, connector, environment: 'production', subject: { type: 'user', id: 'u1' }, access_token: 'at' },
    ] }));
    const asks = async (...userScopes) => (await update(connector, { data: { userScopes } })).reconsentNeeded;
    assert.deepEqual([await asks('User.Read', 'Mail.Read'), await asks('Mail.Read')], [{ scope: 'user' }, undefined]);
  });
});

describe('the JWT of a snowflake user', () => {
  it('is what Snowflake takes by the public half of the key: npm jose verifies it, node:crypto tells the fingerprint', async () => {
    const { id } = await create({
      type: 'snowflake', uid: 'snowflake/key-pair', name: 'Key pair', projectId, environments: ['production'],
      data: { accountIdentifier: 'xy12345.eu-central-1', user: 'svc_reader', defaultSessionRole: 'ANALYST', privateKeyPem },
    });
    const { status, text, body } = await server.token(id, { key: KEYS.workload, subject: { type: 'app' } });
    assert.equal(status, 200, text);
    const publicKey = createPublicKey(privateKeyPem);
    const { payload, protectedHeader } = await jose.jwtVerify(body.token, publicKey, { algorithms: ['RS256'] });
    const digest = createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('base64');
    assert.equal(payload.sub, 'XY12345.SVC_READER');
    assert.equal(payload.iss, `${payload.sub}.SHA256:${digest}`);
    assert.equal(protectedHeader.typ, 'JWT');
    assert.ok(payload.exp - payload.iat < 3600, `${payload.exp - payload.iat} s: Snowflake takes an hour at most`);
    assert.ok(payload.iat * 1000 <= Date.now() && Date.now() < payload.exp * 1000);
    // What is said of its life is not more than it has, whose end is a whole second.
    assert.ok(body.expiresAt < (payload.exp + 1) * 1000, `${body.expiresAt} ${payload.exp}`);
    assert.deepEqual(
      [body.metadata.tokenType, body.metadata.accountIdentifier, body.metadata.defaultSessionRole],
      ['KEYPAIR_JWT', 'xy12345.eu-central-1', 'ANALYST'],
    );
    const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey;
    await assert.rejects(jose.jwtVerify(body.token, other, { algorithms: ['RS256'] }), jose.errors.JWSSignatureVerificationFailed);
  });
});

it('a connector that a deployment made for itself names its project and environment', async () => {
  const mcp = await mcpServer({});
  try {
    await server.command('projects', 'update', projectId, '--provisions', 'true', '--team', teamId);
    const key = await server.workloadToken(projectId, 'preview');
    const answer = await server.call('POST', '/v1/connect/connectors/managed/oauth', { key, body: { uid: 'mcp/own', serverUrl: mcp.url } });
    assert.equal(answer.status, 200, answer.text);
    const { createdBy, updatedBy } = await read('mcp/own');
    assert.deepEqual([createdBy, updatedBy], Array(2).fill({ type: 'project', id: projectId, environment: 'preview' }));
    const { enabledEnvironments } = await sdk().getConnectorProjectConnection({ teamId, connector: 'mcp/own', projectId });
    assert.deepEqual(enabledEnvironments, ['preview']);
  } finally {
    await mcp.stop();
  }
});
