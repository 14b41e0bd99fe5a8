// What GitHub has and its emulator lacks of installing an app: the page on which a person does it, what a person's
// token tells of their installations, and what becomes of one (`becomes`: gone, suspended, down). All else is the emulator's.
import { createServer } from 'node:http';

/** Headers that belong to one connection. */
const HOP = ['host', 'connection', 'content-length', 'transfer-encoding', 'keep-alive'];

export class GithubPage {
  /**
   * @param {string} upstream the emulator
   * @param {{ callback: string, installation: number, account: string, members: string[] }} app its setup URL, and its one
   *   installation with who has to do with that
   */
  static async start(upstream, app) {
    const page = new GithubPage(upstream, app);
    page.server = createServer((request, response) => page.answer(request, response).catch((error) => response.destroy(error)));
    await new Promise((resolve) => page.server.listen(0, '127.0.0.1', resolve));
    page.url = `http://127.0.0.1:${page.server.address().port}`;
    return page;
  }

  constructor(upstream, app) {
    Object.assign(this, { upstream, app });
  }

  async answer(request, response) {
    const url = new URL(request.url, this.url);
    if (/^\/apps\/[\w-]+\/installations\/new$/.test(url.pathname)) {
      const back = new URL(this.app.callback);
      back.searchParams.set('state', url.searchParams.get('state') ?? '');
      if (this.asksOwner) back.searchParams.set('setup_action', 'request');
      else {
        back.searchParams.set('installation_id', this.app.installation);
        back.searchParams.set('setup_action', 'install');
      }
      return response.writeHead(302, { location: back.href }).end();
    }
    if (url.pathname === '/user/installations') {
      const { authorization } = request.headers;
      const who = await fetch(`${this.upstream}/user`, { headers: { authorization } });
      if (!who.ok) return response.writeHead(401).end('{}');
      const { login } = await who.json();
      const { installation: id, account, members } = this.app;
      const installations = members.includes(login) ? [{ id, account: { login: account } }] : [];
      return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ total_count: installations.length, installations }));
    }
    const installation = url.pathname === `/app/installations/${this.app.installation}`;
    if (this.becomes && /^\/app\/installations\/\d+(\/access_tokens)?$/.test(url.pathname)) {
      const suspended = installation && { id: this.app.installation, account: { login: this.app.account }, suspended_at: new Date().toISOString() };
      const [status, answer] = {
        gone: [404, { message: 'Not Found' }],
        down: [502, {}],
        suspended: suspended ? [200, suspended] : [403, { message: 'This installation has been suspended' }],
      }[this.becomes];
      return response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
    }
    const body = [];
    for await (const part of request) body.push(part);
    const answer = await fetch(this.upstream + request.url, {
      method: request.method,
      headers: Object.entries(request.headers).filter(([name]) => !HOP.includes(name)),
      body: body.length ? Buffer.concat(body) : undefined,
      redirect: 'manual',
    });
    const headers = [...answer.headers].filter(([name]) => ![...HOP, 'content-encoding'].includes(name));
    response.writeHead(answer.status, headers).end(Buffer.from(await answer.arrayBuffer()));
  }

  stop() {
    this.server.close();
  }
}
