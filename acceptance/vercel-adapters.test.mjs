// Every credential of @vercel/connect/chat and @vercel/connect/eve, unmodified, through the module that we ship: what they
// give is tried at emulated third parties where there are any.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import '../clients/connect-redirect.mjs';
import { ConnectorInstallationRequiredError, experimental_startInstallation } from '@vercel/connect';
import * as chat from '@vercel/connect/chat';
import * as eve from '@vercel/connect/eve';
import { connect, Emulator, GITHUB_KEY } from './lib/emulate.mjs';
import { Grantry } from './lib/grantry.mjs';
import { Visitor } from './lib/visitor.mjs';
import { KEYS, PROJECT, RETURN_URL, TEAM, world } from './lib/world.mjs';

let server, workload;
const peers = {};
before(async () => {
  server = await Grantry.start();
  const services = ['github', 'slack', 'linear', 'microsoft'];
  await Promise.all(services.map(async (name) => (peers[name] = await Emulator.start(name, server.callback))));
  const { github, slack, linear, microsoft } = peers;
  const row = (type, data) => ({
    id: `scl_${type}`,
    uid: `${type}/acme`,
    team: TEAM,
    name: `My ${type}`,
    type,
    data,
    links: [{ project: PROJECT, environments: ['production'] }],
  });
  const key = (service, value) => ({ ...row('api-key', { values: [{ value }] }), id: `scl_${service}`, uid: `${service}/acme` });
  await server.apply(
    world({
      connectors: [
        row('github', {
          appId: 12345, appSlug: 'my-github-app', appName: 'My GitHub App', clientId: 'Iv1.abc123', privateKeyPem: GITHUB_KEY,
          serverConfig: {
            authorization_endpoint: `${github.url}/login/oauth/authorize`,
            token_endpoint: `${github.url}/login/oauth/access_token`,
            api_base_url: github.url,
          },
        }),
        row('slack', {
          appId: 'A000000001', appName: 'SlackApp', clientId: '12345.67890', clientSecret: 'slack-secret', botScopes: ['chat:write'],
          serverConfig: {
            authorization_endpoint: `${slack.url}/oauth/v2/authorize`,
            token_endpoint: `${slack.url}/api/oauth.v2.access`,
            api_base_url: `${slack.url}/api`,
          },
        }),
        row('linear', {
          clientId: 'lin-app', clientSecret: 'lin-secret2', appScopes: ['read'],
          serverConfig: { authorization_endpoint: `${linear.url}/oauth/authorize`, token_endpoint: `${linear.url}/oauth/token` },
        }),
        row('microsoft-teams', {
          appId: 'ms-client', clientSecret: 'ms-secret', tenantId: 'contoso.onmicrosoft.com',
          serverConfig: {
            authorization_endpoint: `${microsoft.url}/oauth2/v2.0/authorize`,
            token_endpoint: `${microsoft.url}/oauth2/v2.0/token`,
          },
        }),
        row('discord', { applicationId: '17', botToken: 'discord-bot' }),
        row('linq', { apiToken: 'linq-token' }),
        row('photon', { projectId: 'photon-project', projectSecret: 'photon-secret' }),
        row('sendblue', { apiKeyId: 'id', apiSecretKey: 'sendblue-secret', phoneNumbers: ['+14155550100'] }),
        key('notion', 'ntn_secret'),
        key('telegram', '1:telegram'),
      ],
    }),
  );
  process.env.GRANTRY_URL = server.url;
  workload = { vercelToken: await server.workloadToken(PROJECT, 'production') };
});
after(() => Promise.all([server, ...Object.values(peers)].map((one) => one?.stop())));

const bearer = (token) => ({ authorization: `Bearer ${token}` });
const json = (answer) => answer.json();

/** Both helpers give a verifier of their own, which an application replaces by ours (connect-webhook.test.mjs). */
const hasVerifier = (...fragments) => {
  for (const { webhookVerifier } of fragments) assert.equal(typeof webhookVerifier, 'function');
};

describe('slack', () => {
  const both = () => [chat.connectSlackAdapter('slack/acme', {}, workload), eve.connectSlackCredentials('slack/acme', {}, workload)];

  it('is told that nobody has installed the application', async () => {
    for (const { botToken } of both()) await assert.rejects(botToken(), ConnectorInstallationRequiredError);
  });

  it('gets the bot’s token once somebody has, and Slack takes it', async () => {
    const { url } = await experimental_startInstallation('slack/acme', {}, { ...workload, returnUrl: RETURN_URL });
    await connect(new Visitor(), url, RETURN_URL);
    const [one, two] = await Promise.all(both().map(({ botToken }) => botToken()));
    assert.equal(one, two);
    assert.match(one, /^xoxb-/);
    const { ok, team_id } = await fetch(`${peers.slack.url}/api/auth.test`, { method: 'POST', headers: bearer(one) }).then(json);
    assert.equal(ok, true);
    assert.equal(await chat.connectSlackAdapter('slack/acme', { installationId: team_id }, workload).botToken(), one);
    hasVerifier(...both());
  });
});

describe('github', () => {
  const issue = (repository, token) =>
    fetch(`${peers.github.url}/repos/my-org/${repository}/issues`, {
      method: 'POST',
      headers: { ...bearer(token), accept: 'application/vnd.github+json' },
      body: JSON.stringify({ title: 't' }),
    }).then(({ status }) => status);

  it('gets tokens of the installation, narrowed as it asks, and the application’s name', async () => {
    const added = await server.call('POST', '/api/v1/connectors/scl_github/installations', {
      key: KEYS.admin,
      body: { external_id: '100', name: 'my-org', default: true },
    });
    assert.equal(added.status, 201, added.text);
    const narrow = { authorizationDetails: [{ type: 'github_app_installation', repositories: ['my-org/svc'] }] };
    for (const fragment of [chat.connectGitHubAdapter, eve.connectGitHubCredentials]) {
      const whole = await fragment('github/acme', {}, workload).installationToken();
      assert.deepEqual([await issue('svc', whole), await issue('site', whole)], [201, 201]);
      const one = await fragment('github/acme', { installationId: '100', ...narrow }, workload).installationToken();
      assert.deepEqual([await issue('svc', one), await issue('site', one)], [201, 403]);
    }
    assert.equal(await eve.connectGitHubCredentials('github/acme', {}, workload).appSlug(), 'my-github-app');
    hasVerifier(chat.connectGitHubAdapter('github/acme'), eve.connectGitHubCredentials('github/acme'));
  });
});

describe('linear', () => {
  it('gets the application’s token, and Linear takes it', async () => {
    const both = [chat.connectLinearAdapter('linear/acme', {}, workload), eve.connectLinearCredentials('linear/acme', {}, workload)];
    const [one, two] = await Promise.all(both.map(({ accessToken }) => accessToken()));
    const { data } = await fetch(`${peers.linear.url}/graphql`, {
      method: 'POST',
      headers: { ...bearer(one), 'content-type': 'application/json' },
      body: JSON.stringify({ query: '{ viewer { id } }' }),
    }).then(json);
    assert.ok(data.viewer.id);
    assert.equal(one, two);
    hasVerifier(...both);
  });
});

describe('microsoft-teams', () => {
  const SCOPE = 'https://api.botframework.com/.default';
  it('gets the application’s id, and tokens for the Bot Framework', async () => {
    const adapter = chat.connectTeamsAdapter('microsoft-teams/acme', {}, workload);
    const credentials = eve.connectTeamsCredentials('microsoft-teams/acme', {}, workload);
    assert.deepEqual([await adapter.appId(), await credentials.appId()], ['ms-client', 'ms-client']);
    const { accessToken, expiresAt } = await credentials.tokenProvider();
    assert.ok(accessToken && expiresAt > Date.now() + 60_000);
    for (const scope of [SCOPE, [SCOPE]]) assert.equal(await adapter.token(scope), accessToken);
    await assert.rejects(adapter.token('User.Read'), /scopes/);
    hasVerifier(adapter, credentials);
  });
});

describe('keys that are handed out as they are', () => {
  it('discord: the bot’s token with the application’s id', async () => {
    for (const fragment of [chat.connectDiscordAdapter, eve.connectDiscordCredentials]) {
      const discord = fragment('discord/acme', {}, workload);
      assert.deepEqual(await Promise.all([discord.applicationId(), discord.botToken()]), ['17', 'discord-bot']);
      hasVerifier(discord);
    }
  });

  it('linq', async () => {
    const adapter = chat.connectLinqAdapter('linq/acme', {}, workload);
    const credentials = eve.connectLinqCredentials('linq/acme', {}, workload);
    assert.deepEqual(await adapter.credentials(), { apiKey: 'linq-token' });
    assert.equal(await credentials.apiKey(), 'linq-token');
    hasVerifier(adapter, credentials);
  });

  it('photon: the secret with the project’s id', async () => {
    const photon = eve.connectPhotonCredentials('photon/acme', {}, workload);
    assert.deepEqual(await photon(), { projectId: 'photon-project', projectSecret: 'photon-secret' });
  });

  it('sendblue: the secret, and the lines, of which a second has to be chosen', async () => {
    const fragments = () => [chat.connectSendblueAdapter, eve.connectSendblueCredentials];
    for (const fragment of fragments()) {
      const sendblue = fragment('sendblue/acme', {}, workload);
      assert.equal(await sendblue.accessToken(), 'sendblue-secret');
      assert.deepEqual([await sendblue.defaultFromNumber(), await sendblue.allowedFromNumbers()], ['+14155550100', ['+14155550100']]);
      hasVerifier(sendblue);
    }
    const phoneNumbers = ['+14155550100', '+14155550101'];
    const patched = await server.call('PATCH', '/v2/connect/connectors/scl_sendblue', { key: KEYS.admin, body: { data: { phoneNumbers } } });
    assert.equal(patched.status, 200, patched.text);
    for (const fragment of fragments()) {
      await assert.rejects(fragment('sendblue/acme', {}, workload).defaultFromNumber(), /multiple Sendblue lines/);
      const second = fragment('sendblue/acme', { fromNumber: '+14155550101' }, workload);
      assert.deepEqual([await second.defaultFromNumber(), await second.allowedFromNumbers()], ['+14155550101', phoneNumbers]);
      await assert.rejects(fragment('sendblue/acme', { fromNumber: '+1' }, workload).defaultFromNumber(), /did not authorize/);
    }
  });

  it('notion and telegram', async () => {
    assert.equal(await chat.connectNotionAdapter('notion/acme', {}, workload).token(), 'ntn_secret');
    assert.equal(await chat.connectTelegramAdapter('telegram/acme', {}, workload).botToken(), '1:telegram');
  });
});
