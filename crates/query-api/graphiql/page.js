// Starts GraphiQL on the endpoint that this page was served from. Queries and mutations are posted; subscriptions come as
// server-sent events, so that the token of the headers editor goes with them as with any other request.
'use strict';
(() => {
  const post = (params, headers, accept) => fetch(location.pathname, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept, ...headers },
    body: JSON.stringify(params),
  });

  const isSubscription = (document, name) => (document?.definitions ?? []).some((definition) =>
    definition.operation === 'subscription' && (!name || definition.name?.value === name));

  async function* events(params, headers) {
    const response = await post(params, headers, 'text/event-stream');
    if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
      yield await response.json();
      return;
    }
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    try {
      for (let buffer = ''; ;) {
        const { done, value } = await reader.read();
        if (done) return;
        const messages = (buffer + value).split('\n\n');
        buffer = messages.pop();
        for (const message of messages) {
          const field = (name) => message.split('\n').find((line) => line.startsWith(name + ':'))?.slice(name.length + 1).trim();
          if (field('event') === 'complete') return;
          if (field('event') === 'next') yield JSON.parse(field('data'));
        }
      }
    } finally {
      await reader.cancel();
    }
  }

  const fetcher = (params, options) => isSubscription(options?.documentAST, params.operationName)
    ? events(params, options?.headers)
    : post(params, options?.headers, 'application/json').then((response) => response.json());

  // GraphiQL's history would keep the headers, and so the token, in the browser for good.
  const withoutHeaders = (text) => {
    try {
      return JSON.stringify(JSON.parse(text, (key, value) => key === 'headers' ? undefined : value));
    } catch {
      return text;
    }
  };
  const storage = {
    get length() { return localStorage.length; },
    getItem: (key) => localStorage.getItem(key),
    removeItem: (key) => localStorage.removeItem(key),
    clear: () => localStorage.clear(),
    setItem: (key, text) => localStorage.setItem(key, /:(queries|favorites|tabState)$/.test(key) ? withoutHeaders(text) : text),
  };

  const given = new URLSearchParams(location.search);
  ReactDOM.createRoot(document.getElementById('graphiql')).render(React.createElement(GraphiQL, {
    fetcher,
    query: given.get('query') ?? undefined,
    variables: given.get('variables') ?? undefined,
    defaultEditorToolsVisibility: 'headers',
    // The back-office needs a token: `daybook token --role admin` prints one. It is kept in this page only.
    defaultHeaders: location.pathname.startsWith('/admin') ? '{\n  "Authorization": "Bearer "\n}' : undefined,
    shouldPersistHeaders: false,
    storage,
  }));
})();
