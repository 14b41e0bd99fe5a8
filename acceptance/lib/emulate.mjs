// vercel-labs' emulators of third parties, each on a port of its own. The package's name on the registry belongs to
// another project from 1.0 on: the version is pinned.
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { Child, freePort, temporaryFolder } from './process.mjs';

const cli = path.join(import.meta.dirname, '../node_modules/emulate/dist/index.js');

/** The key of the GitHub App that the emulator knows. */
export const GITHUB_KEY = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
}).privateKey;

/** What each emulator holds, for a client whose redirect URI is `callback`. JSON is YAML. */
const SEEDS = {
  github: (callback) => ({
    users: [
      { login: 'octocat', name: 'Octo', email: 'o@example.com' },
      { login: 'stranger', name: 'Nobody', email: 'n@example.com' },
    ],
    orgs: [{ login: 'my-org', name: 'My Org', members: [{ login: 'octocat', role: 'admin' }] }],
    repos: [
      { owner: 'my-org', name: 'svc', auto_init: true },
      { owner: 'my-org', name: 'site', auto_init: true },
    ],
    oauth_apps: [{ client_id: 'Iv1.abc123', client_secret: 'gh-secret', name: 'Web', redirect_uris: [callback] }],
    apps: [
      {
        app_id: 12345,
        slug: 'my-github-app',
        name: 'My GitHub App',
        private_key: GITHUB_KEY,
        permissions: { contents: 'read', issues: 'write', metadata: 'read' },
        events: ['issues'],
        installations: [{ installation_id: 100, account: 'my-org', repository_selection: 'all' }],
      },
    ],
  }),
  slack: (callback) => ({
    team: { name: 'Acme', domain: 'acme' },
    users: [{ name: 'developer', real_name: 'Dev', email: 'dev@example.com' }],
    channels: [{ name: 'general' }],
    signing_secret: 'slack-signing',
    oauth_apps: [
      {
        client_id: '12345.67890',
        client_secret: 'slack-secret',
        app_id: 'A000000001',
        name: 'SlackApp',
        redirect_uris: [callback],
        scopes: ['chat:write', 'channels:read', 'users:read'],
        user_scopes: ['users:read'],
        bot_name: 'my-bot',
      },
    ],
  }),
  google: (callback) => ({
    users: [{ email: 'g@example.com', name: 'G' }],
    oauth_clients: [{ client_id: 'g-client', client_secret: 'g-secret', redirect_uris: [callback] }],
  }),
  microsoft: (callback) => ({
    users: [{ email: 'm@example.com', name: 'M' }],
    oauth_clients: [{ client_id: 'ms-client', client_secret: 'ms-secret', name: 'MS', redirect_uris: [callback] }],
  }),
  okta: (callback) => ({
    users: [{ login: 'o@example.com', email: 'o@example.com' }],
    oauth_clients: [{ client_id: 'okta-client', client_secret: 'okta-secret', name: 'OK', redirect_uris: [callback] }],
  }),
  linear: (callback) => ({
    oauth_apps: [
      { client_id: 'lin-client', client_secret: 'lin-secret', name: 'L', redirect_uris: [callback], scopes: ['read', 'write'], actor: 'user' },
      { client_id: 'lin-app', client_secret: 'lin-secret2', name: 'LA', redirect_uris: [callback], scopes: ['read', 'write'], actor: 'app' },
    ],
  }),
};

export class Emulator {
  /**
   * Starts the emulator of one third party.
   * @param {keyof typeof SEEDS} service
   * @param {string} callback
   */
  static async start(service, callback) {
    const seed = path.join(temporaryFolder(`emulate-${service}`), 'seed.yaml');
    writeFileSync(seed, JSON.stringify({ [service]: SEEDS[service](callback) }));
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const where = ['--host', '127.0.0.1', '--port', String(port)];
    const child = new Child(process.execPath, [cli, 'start', ...where, '--service', service, '--seed', seed]);
    await child.until(async () => fetch(url).catch(() => null), 60);
    return new Emulator(child, url);
  }

  constructor(child, url) {
    Object.assign(this, { child, url });
  }

  stop() {
    return this.child.stop();
  }
}

/** Opens a connect link, consents, picks one of the emulator's users, the first unless told, and follows its answer to `returnUrl`. */
export async function connect(visitor, link, returnUrl, is = () => true) {
  const { page } = await visitor.open(link);
  let { arrived, page: picker } = await visitor.press(page, { stopAt: returnUrl });
  if (!arrived && picker.forms.length) {
    const { action, fields } = picker.forms.find((form) => is(form));
    ({ arrived, page: picker } = await visitor.open(action, { stopAt: returnUrl, method: 'POST', body: new URLSearchParams(fields) }));
  }
  if (!arrived) throw new Error(`stopped at ${picker.url} (${picker.status}): ${picker.text.slice(0, 500)}`);
  return arrived;
}
