// GitHub as far as apps of manifests go (docs.github.com, "Registering a GitHub App from a manifest"): it reads the
// manifest strictly, asks a person, and tells of the app once, by a code.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';

const escaped = (text) => text.replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
const KNOWN = new Set([
  ...['name', 'url', 'hook_attributes', 'redirect_url', 'callback_urls', 'setup_url', 'description', 'public'],
  ...['default_events', 'default_permissions', 'request_oauth_on_install', 'setup_on_update'],
]);
/** What an event is of, as far as the tests have them. */
const NEEDS = { push: 'contents', issues: 'issues', pull_request: 'pull_requests' };

function complaint(manifest) {
  const url = (text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol);
  const { name, hook_attributes: hook, default_permissions: permissions = {}, default_events: events = [] } = manifest;
  const unknown = Object.keys(manifest).find((key) => !KNOWN.has(key));
  if (unknown) return `${unknown} is not permitted`;
  if (typeof name !== 'string' || name.length < 1 || name.length > 34) return 'Name must be 1 to 34 characters';
  if (!url(manifest.url)) return 'Homepage URL must be a URL';
  if (!url(manifest.redirect_url)) return 'redirect_url must be a URL';
  if (!Array.isArray(manifest.callback_urls) || !manifest.callback_urls.every(url)) return 'callback_urls must be URLs';
  if (hook && !url(hook.url)) return 'Hook url is required';
  if (!Object.values(permissions).every((level) => ['read', 'write', 'admin'].includes(level))) return 'Default permission levels are wrong';
  for (const event of events) if (!(NEEDS[event] in permissions)) return `Default events unsupported: ${event}`;
  return undefined;
}

export class GithubManifests {
  static async start() {
    const peer = new GithubManifests();
    await new Promise((done) => peer.server.listen(0, '127.0.0.1', done));
    peer.url = `http://127.0.0.1:${peer.server.address().port}`;
    return peer;
  }

  /** What was made, the newest last. */
  apps = [];
  #codes = new Map();

  server = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    const at = new URL(request.url, this.url);
    const page = (status, html) => response.writeHead(status, { 'content-type': 'text/html' }).end(`<!doctype html><title>GitHub</title>${html}`);
    const json = (status, value) => response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    const shown = /^\/(?:organizations\/([\w-]+)\/)?settings\/apps\/new$/.exec(at.pathname);
    if (request.method === 'POST' && shown) {
      const text = new URLSearchParams(body).get('manifest') ?? '';
      let wrong, manifest;
      try {
        manifest = JSON.parse(text);
        wrong = complaint(manifest);
      } catch (error) {
        wrong = String(error);
      }
      if (wrong) return page(422, `<h1>Invalid GitHub App configuration</h1><p>${escaped(wrong)}</p>`);
      const hidden = { manifest: text, state: at.searchParams.get('state') ?? '', owner: shown[1] ?? '' };
      const fields = Object.entries(hidden).map(([name, value]) => `<input type="hidden" name="${name}" value="${escaped(value)}">`);
      return page(200, `<h1>Create GitHub App</h1><p>${escaped(manifest.name)}</p><form method="post" action="/made">${fields.join('')}<button>Create GitHub App</button></form>`);
    }
    if (request.method === 'POST' && at.pathname === '/made') {
      const form = new URLSearchParams(body);
      const manifest = JSON.parse(form.get('manifest'));
      const code = randomBytes(20).toString('hex');
      this.#codes.set(code, this.#made(manifest, form.get('owner')));
      const back = new URL(manifest.redirect_url);
      back.searchParams.set('code', code);
      if (form.get('state')) back.searchParams.set('state', form.get('state'));
      return response.writeHead(302, { location: back.href }).end();
    }
    const [, code] = /^(?:\/api\/v3)?\/app-manifests\/([^/]+)\/conversions$/.exec(at.pathname) ?? [];
    if (request.method === 'POST' && code) {
      const app = this.#codes.get(code);
      this.#codes.delete(code);
      return app && request.headers['user-agent'] ? json(201, app) : json(404, { message: 'Not Found' });
    }
    if (at.pathname === '/favicon.ico') return response.writeHead(204).end();
    return json(404, { message: 'Not Found' });
  });

  #made(manifest, owner) {
    const id = 1000 + this.apps.length;
    const slug = manifest.name.toLowerCase().replace(/[^a-z0-9]+/g, '-').replace(/^-|-$/g, '');
    const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const app = {
      ...{ id, slug, node_id: 'A_x', name: manifest.name, external_url: manifest.url, html_url: `${this.url}/apps/${slug}` },
      owner: owner ? { login: owner, id: 7, type: 'Organization' } : { login: 'octocat', id: 1, type: 'User' },
      client_id: `Iv23li${id}`,
      client_secret: randomBytes(20).toString('hex'),
      webhook_secret: manifest.hook_attributes ? randomBytes(20).toString('hex') : null,
      pem: privateKey.export({ type: 'pkcs1', format: 'pem' }),
      permissions: manifest.default_permissions ?? {},
      events: manifest.default_events ?? [],
    };
    this.apps.push({ app, manifest });
    return app;
  }

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
