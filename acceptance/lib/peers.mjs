// Real identity providers, each on a port of its own.
import path from 'node:path';
import { Child, temporaryFolder } from './process.mjs';

const here = import.meta.dirname;
const python = path.join(here, '../.cache/venv/bin/python');

/** Each peer's command, and where its endpoints are. */
const PEERS = {
  'oidc-provider': {
    command: [process.execPath, '../peers/oidc-provider.mjs'],
    endpoints: {
      authorization: '/auth',
      token: '/token',
      revocation: '/token/revocation',
      introspection: '/token/introspection',
    },
    hasIssuer: true,
    scopes: ['openid', 'offline_access', 'api:read'],
    // oidc-provider gives `offline_access` only where consent was asked for.
    authorizationParams: { prompt: 'consent' },
  },
  'django-oauth-toolkit': {
    command: [python, '../peers/django-oauth-toolkit.py'],
    endpoints: {
      authorization: '/o/authorize/',
      token: '/o/token/',
      revocation: '/o/revoke_token/',
      introspection: '/o/introspect/',
    },
    hasIssuer: false,
    scopes: ['read'],
    authorizationParams: {},
  },
};

/** Every client is known to both peers under the same name and secret. */
export const CLIENTS = {
  conf: { id: 'conf', secret: 'conf-secret' },
  weird: { id: 'we:ird id', secret: 's%c+r/e t&=:' },
};

export class Peer {
  /**
   * Starts a peer that knows `callbacks` as redirect URIs.
   * @param {keyof typeof PEERS} name
   * @param {{ callbacks: string[], env?: Record<string, string> }} options
   */
  static async start(name, { callbacks, env = {} }) {
    const kind = PEERS[name];
    const [command, script] = kind.command;
    const child = new Child(command, [path.join(here, script)], {
      env: { CALLBACKS: callbacks.join(','), DATA_DIR: temporaryFolder(name), ...env },
    });
    const ready = await child.until(() => child.output.match(/^ready (\S+)$/m), 60);
    return new Peer(name, kind, child, ready[1]);
  }

  constructor(name, kind, child, url) {
    Object.assign(this, { name, kind, child, url });
  }

  endpoint(which) {
    return this.url + this.kind.endpoints[which];
  }

  stop() {
    return this.child.stop();
  }

  /** The peer's own counters: grants by type, refusals by error. */
  async stats() {
    return (await fetch(`${this.url}/_stats`)).json();
  }

  /** How many times a refresh token was honoured. */
  async refreshes() {
    return (await this.stats()).granted.refresh_token ?? 0;
  }

  /** POSTs a form as `client`, with the Basic credentials of RFC 6749 §2.3.1. */
  async form(which, fields, client = CLIENTS.conf) {
    const encode = (text) => encodeURIComponent(text).replaceAll('%20', '+');
    const basic = Buffer.from(`${encode(client.id)}:${encode(client.secret)}`).toString('base64');
    return fetch(this.endpoint(which), {
      method: 'POST',
      headers: { authorization: `Basic ${basic}` },
      body: new URLSearchParams(fields),
    });
  }

  /** Does the provider itself honour this access token? */
  async honours(token, client) {
    const answer = await this.form('introspection', { token }, client);
    if (!answer.ok) throw new Error(`introspection: ${answer.status} ${await answer.text()}`);
    return (await answer.json()).active;
  }
}
