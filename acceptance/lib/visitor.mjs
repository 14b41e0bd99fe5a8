// A person with a browser that keeps cookies, follows links and presses the one button; no JavaScript.

const ENTITIES = { amp: '&', lt: '<', gt: '>', quot: '"', '#39': "'", '#x27': "'", '#34': '"', '#x2f': '/' };
const unescape = (html) => html.replace(/&(#?\w+);/g, (all, name) => ENTITIES[name.toLowerCase()] ?? all);

const attributes = (tag) =>
  Object.fromEntries(
    [...tag.matchAll(/([\w-]+)(?:\s*=\s*"([^"]*)")?/g)].map(([, name, value = '']) => [name.toLowerCase(), unescape(value)]),
  );

/** Where the visitor stands: an address, an answer's status and headers, its text. */
class Page {
  constructor(url, answer, html) {
    this.url = url;
    this.status = answer.status;
    this.headers = answer.headers;
    this.html = html;
  }

  /** The text that a reader sees. */
  get text() {
    const visible = this.html.replace(/<(style|script|head|svg)\b.*?<\/\1>/gis, ' ');
    return unescape(visible.replace(/<[^>]+>/g, ' ')).replace(/\s+/g, ' ');
  }

  /** The POST forms of the page: where each goes and what it carries. */
  get forms() {
    return [...this.html.matchAll(/<form\b([^>]*)>(.*?)<\/form>/gis)]
      .map(([, head, body]) => ({ ...attributes(head), body }))
      .filter((form) => form.method?.toLowerCase() === 'post')
      .map(({ action = '', body }) => ({
        action: new URL(action, this.url).href,
        fields: [...body.matchAll(/<(?:input|button)\b([^>]*)>/gis)]
          .map(([, tag]) => attributes(tag))
          .filter(({ name }) => name)
          .map(({ name, value = '' }) => [name, value]),
      }));
  }
}

export class Visitor {
  /** Cookies by host and port: the peers share 127.0.0.1 and must not see each other's. */
  #jar = new Map();

  /** Opens `url`, follows redirects, and stops before `stopAt` (an address that need not exist). */
  async open(url, { stopAt, method = 'GET', body } = {}) {
    const origins = [];
    for (let hops = 0; hops < 20; hops++) {
      if (stopAt && url.startsWith(stopAt)) return { arrived: new URL(url), origins };
      const { host, origin } = new URL(url);
      origins.push(origin);
      const cookies = this.#jar.get(host) ?? new Map();
      this.#jar.set(host, cookies);
      const answer = await fetch(url, {
        method,
        body,
        redirect: 'manual',
        headers: {
          accept: 'text/html',
          cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; '),
          ...(method === 'POST' && { origin }),
        },
      });
      for (const line of answer.headers.getSetCookie()) this.#keep(cookies, line);
      const location = answer.headers.get('location');
      if (!location) return { page: new Page(url, answer, await answer.text()), origins };
      await answer.arrayBuffer();
      url = new URL(location, url).href;
      // 301, 302 and 303 turn a POST into a GET; 307 and 308 would repeat it.
      if (answer.status < 307) [method, body] = ['GET', undefined];
    }
    throw new Error(`more than 20 redirects, the last to ${url}`);
  }

  /** Presses the page's one button. */
  async press(page, options) {
    const [form, ...others] = page.forms;
    if (!form || others.length)
      throw new Error(`${page.forms.length} forms at ${page.url} (${page.status}): ${page.text.slice(0, 500)}`);
    return this.open(form.action, { ...options, method: 'POST', body: new URLSearchParams(form.fields) });
  }

  /** Opens a connect link, consents, and follows the provider's answer to `returnUrl`. */
  async connect(link, returnUrl) {
    const { page } = await this.open(link);
    const { arrived, page: other } = await this.press(page, { stopAt: returnUrl });
    if (!arrived)
      throw new Error(`stopped at ${other.url} (${other.status}): ${other.text.slice(0, 500)}`);
    return arrived;
  }

  /** Keeps the cookies of an answer from `url` that a script on a page there got. */
  takes(url, answer) {
    const { host } = new URL(url);
    const cookies = this.#jar.get(host) ?? new Map();
    this.#jar.set(host, cookies);
    for (const line of answer.headers.getSetCookie()) this.#keep(cookies, line);
  }

  #keep(cookies, line) {
    const [pair, ...rest] = line.split(';');
    const [name, ...value] = pair.split('=');
    const settings = Object.fromEntries(rest.map((part) => part.trim().toLowerCase().split('=')));
    const gone = settings['max-age'] === '0' || Date.parse(settings.expires) < Date.now();
    if (gone) cookies.delete(name.trim());
    else cookies.set(name.trim(), value.join('='));
  }
}
