// `grantry sandbox`: the provider that keeps a log of everything that was presented to it.
import { BIN } from './grantry.mjs';
import { Peer } from './peers.mjs';
import { Child, freePort } from './process.mjs';

const KIND = {
  endpoints: {
    authorization: '/authorize',
    token: '/token',
    revocation: '/revoke',
    introspection: '/introspect',
  },
  hasIssuer: true,
  scopes: ['openid', 'offline_access'],
  authorizationParams: {},
};

export const DEMO = { id: 'demo', secret: 'demo-secret' };

export class Sandbox extends Peer {
  /**
   * @param {{ accessTtl: number, grace?: number }} options life of an access token, and how long a
   *   rotated refresh token still answers with the pair that replaced it, in seconds
   */
  static async start({ accessTtl, grace = 0 }) {
    const address = `127.0.0.1:${await freePort()}`;
    const child = new Child(BIN, [
      'sandbox',
      ...['--listen', address],
      ...['--access-ttl', `${accessTtl}`],
      ...['--grace', `${grace}`],
      '--auto-consent',
    ]);
    const url = `http://${address}`;
    await child.until(async () => (await fetch(`${url}/_stats`).catch(() => null))?.ok);
    return new Sandbox('sandbox', KIND, child, url);
  }

  honours(token) {
    return super.honours(token, DEMO);
  }

  /** Orders a fault (`grantry sandbox --list-faults`): `{ fault, times, seconds, grant_type, … }`. */
  async play(order) {
    const answer = await fetch(`${this.url}/_control`, { method: 'POST', body: JSON.stringify(order) });
    if (!answer.ok) throw new Error(`${JSON.stringify(order)}: ${await answer.text()}`);
  }

  /** Takes all orders back, and forgets the log. */
  async calm() {
    await fetch(`${this.url}/_control`, { method: 'DELETE' });
  }

  /** Every token request that presented a known refresh token, oldest first. */
  async presentations() {
    const log = await (await fetch(`${this.url}/_log`)).json();
    return log.filter(({ grant_type, refresh }) => grant_type === 'refresh_token' && refresh);
  }
}

/**
 * What design §6 forbids, counted over a log of presentations; times are in microseconds.
 * - afterAnswer: presented again though the provider had answered. A kill between the answer and
 *   our own disk looks like this from the provider's side: at most one for each kill.
 * - burst: more than three presentations of one token within five seconds
 * - hasty: presented again within a second, after those five
 * - afterRefusal: presented after `invalid_grant` had been answered
 */
export function offences(presentations) {
  const found = { afterAnswer: 0, burst: 0, hasty: 0, afterRefusal: 0 };
  const refusedAt = new Map();
  const generations = new Map();
  for (const entry of presentations) {
    const { family, generation } = entry.refresh;
    if (refusedAt.get(family) < entry.at) found.afterRefusal++;
    if (entry.error === 'invalid_grant' && entry.answered_at && !refusedAt.has(family))
      refusedAt.set(family, entry.answered_at);
    const key = `${family}/${generation}`;
    generations.set(key, [...(generations.get(key) ?? []), entry]);
  }
  for (const entries of generations.values()) {
    const inBurst = entries.filter(({ at }) => at - entries[0].at < 5e6);
    found.burst += Math.max(0, inBurst.length - 3);
    for (const [n, { at, answered_at }] of entries.entries()) {
      const next = entries[n + 1];
      if (next && answered_at && answered_at < next.at) found.afterAnswer++;
      if (next && next.at - entries[0].at >= 5e6 && next.at - at < 1e6) found.hasty++;
    }
  }
  return found;
}
