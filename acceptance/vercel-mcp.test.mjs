// Clients of Model Context Protocol servers that get their tokens here: `connectAuthProvider` of npm @vercel/connect,
// unmodified, through the module that we ship, in the SDK's own client, in the AI SDK's and in TanStack's.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import '../clients/connect-redirect.mjs';
import { createMCPClient as createAiClient } from '@ai-sdk/mcp';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { createMCPClient as createTanstackClient } from '@tanstack/ai-mcp';
import * as aiSdk from '@vercel/connect/ai-sdk';
import * as mcp from '@vercel/connect/mcp';
import * as tanstack from '@vercel/connect/tanstack-ai';
import { Grantry } from './lib/grantry.mjs';
import { mcpServer } from './lib/mcp.mjs';
import { Visitor } from './lib/visitor.mjs';
import { KEYS, PROJECT, RETURN_URL, TEAM, world } from './lib/world.mjs';

const CONNECTOR = 'mcp/tools';
let server, peer, vercelToken, client;
before(async () => {
  [server, peer] = await Promise.all([Grantry.start(), mcpServer({})]);
  const links = [{ project: PROJECT, environments: ['production'] }];
  await server.apply(
    world({
      connectors: [
        { id: 'scl_tools', uid: CONNECTOR, team: TEAM, name: 'Tools', type: 'oauth', data: { serverUrl: peer.url }, links },
        {
          id: 'scl_slack', uid: 'slack/bot', team: TEAM, name: 'Bot', type: 'slack', links,
          data: { appId: 'A1', appName: 'Bot', clientId: 'c', clientSecret: 's' },
        },
      ],
    }),
  );
  process.env.GRANTRY_URL = server.url;
  vercelToken = await server.workloadToken(PROJECT, 'production');
  // A client is registered when somebody first connects.
  await consented('first');
  const { body } = await server.call('GET', '/v1/connect/connectors/scl_tools', { key: KEYS.admin });
  client = body.data.clientId;
});
after(() => Promise.all([server, peer].map((one) => one?.stop())));

const user = (id) => ({ subject: { type: 'user', id } });
const options = (more) => ({ vercelToken, redirectUrl: RETURN_URL, ...more });

/** A person who has followed the link that a client gave them. */
async function consented(id, challenge) {
  const url = challenge?.url ?? (await refusal(mcp.connectAuthProvider(CONNECTOR, user(id), options()).redirectToAuthorization())).url;
  await new Visitor().connect(url, RETURN_URL);
}
const refusal = (promise) => promise.then(() => assert.fail('it went through'), (error) => error);

/** What the connector's challenge has, whoever tells of it. */
function isChallenge(challenge, id) {
  assert.deepEqual([challenge.connector, challenge.subject], [CONNECTOR, { type: 'user', id }]);
  assert.ok(challenge.url.startsWith(`${server.url}/authorize/sca_`) && challenge.url.endsWith(challenge.request));
  assert.ok(challenge.verifier && challenge.expiresAt > Date.now());
}

describe('the SDK’s own client', () => {
  async function whoami(authProvider) {
    const one = new Client({ name: 'acceptance', version: '1.0.0' });
    try {
      await one.connect(new StreamableHTTPClientTransport(new URL(peer.url), { authProvider }));
      return (await one.callTool({ name: 'whoami' })).content[0].text;
    } finally {
      await one.close();
    }
  }

  it('is sent to consent by what it asks the provider for, and let in afterwards', async () => {
    const provider = mcp.connectAuthProvider(CONNECTOR, user('plain'), options());
    const error = await refusal(whoami(provider));
    assert.ok(mcp.isConsentRequiredError(error), `${error}`);
    isChallenge(error, 'plain');
    assert.deepEqual(mcp.getConsentChallenge(new Error('wrapped', { cause: error })), mcp.getConsentChallenge(error));
    assert.equal(mcp.getConsentChallenge(new Error('another')), undefined);
    await consented('plain', error);
    assert.equal(await whoami(provider), client);
    const tokens = await provider.tokens();
    assert.equal(tokens.token_type, 'Bearer');
    assert.ok(Number.isInteger(tokens.expires_in) && tokens.expires_in > 0 && tokens.expires_in <= 60);
  });

  it('is sent before it asks, with a code for another device, where that is wanted', async () => {
    const asked = [];
    const provider = mcp.connectAuthProvider(
      CONNECTOR,
      user('eager'),
      options({ consent: 'eager', deviceCode: true, vercelToken: async () => vercelToken, onConsentRequired: (one) => void asked.push(one) }),
    );
    const error = await refusal(provider.tokens());
    assert.ok(error instanceof mcp.ConsentRequiredError);
    assert.match(error.deviceCode, /^[A-Z0-9]{4}-[A-Z0-9]{4}$/);
    assert.equal(asked.length, 1);
    isChallenge(asked[0], 'eager');
    const { body } = await server.call('GET', `/v1/connect/result/${error.verifier}`);
    assert.equal(body.status, 'pending');
  });

  it('hears of an application that nobody installed, which no consent mends', async () => {
    const provider = mcp.connectAuthProvider('slack/bot', { subject: { type: 'app' } }, options({ consent: 'eager' }));
    assert.ok((await refusal(provider.tokens())) instanceof mcp.ConnectorInstallationRequiredError);
    const stranger = mcp.connectAuthProvider('mcp/none', user('x'), options());
    const error = await refusal(stranger.tokens());
    assert.deepEqual([error.name, error.status], ['ConnectError', 404]);
  });
});

describe('the AI SDK’s client', () => {
  it('is sent to consent, and let in afterwards', async () => {
    const transport = () => ({
      type: 'http',
      url: peer.url,
      // Once a server has refused it, this client wants to save metadata that the provider never has it discover.
      authProvider: aiSdk.connectAuthProvider(CONNECTOR, user('ai-sdk'), options({ consent: 'eager' })),
    });
    const error = await refusal(createAiClient({ transport: transport() }));
    const challenge = aiSdk.getConsentChallenge(error);
    isChallenge(challenge, 'ai-sdk');
    await consented('ai-sdk', challenge);

    const one = await createAiClient({ transport: transport() });
    try {
      const { whoami } = await one.tools();
      const { content } = await whoami.execute({}, { toolCallId: '1', messages: [] });
      assert.equal(content[0].text, client);
    } finally {
      await one.close();
    }
  });
});

describe('TanStack’s client', () => {
  it('is sent to consent before its first request, and let in afterwards', async () => {
    const transport = () => tanstack.connectMCPTransport({ type: 'http', url: peer.url }, CONNECTOR, user('tanstack'), options());
    const error = await refusal(createTanstackClient({ transport: transport() }));
    const challenge = tanstack.getConsentChallenge(error);
    isChallenge(challenge, 'tanstack');
    await consented('tanstack', challenge);

    const one = await createTanstackClient({ transport: transport() });
    try {
      const [tool] = await one.tools();
      assert.equal(tool.name, 'whoami');
      assert.match(JSON.stringify(await tool.execute({})), new RegExp(client));
    } finally {
      await one.close();
    }
  });
});
