// What Slack's API has and its emulator lacks: the end of a token. All else is the emulator's.
import { createServer } from 'node:http';

export class SlackApi {
  /** @param {string} upstream the emulator */
  static async start(upstream) {
    const api = new SlackApi(upstream);
    await new Promise((resolve) => api.server.listen(0, '127.0.0.1', resolve));
    api.url = `http://127.0.0.1:${api.server.address().port}/api`;
    return api;
  }

  constructor(upstream) {
    this.upstream = upstream;
  }

  #ended = new Set();

  server = createServer(async (request, response) => {
    request.resume();
    const { authorization = '' } = request.headers;
    const json = (value) => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    if (this.#ended.has(authorization)) return json({ ok: false, error: 'token_revoked' });
    if (request.url === '/api/auth.revoke') {
      this.#ended.add(authorization);
      return json({ ok: true, revoked: true });
    }
    return json(await (await fetch(this.upstream + request.url, { method: request.method, headers: { authorization } })).json());
  });

  stop() {
    this.server.closeAllConnections();
    this.server.close();
  }
}
