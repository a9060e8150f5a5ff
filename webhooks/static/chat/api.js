// The web chat API, /chat/v1 (docs/webchat.md). The session is an HttpOnly cookie: no token passes through here.

const PATIENCE = 15_000; // milliseconds; then the network counts as gone

/** Gives {status, body, wait}: `wait` in milliseconds if the server asks for a pause. Throws when it cannot be reached. */
export async function call(method, path, content) {
  const response = await fetch(`/chat/v1/${path}`, {
    method,
    credentials: "same-origin",
    headers: content === undefined ? {} : { "Content-Type": "application/json" },
    body: content === undefined ? undefined : JSON.stringify(content),
    signal: AbortSignal.timeout(PATIENCE),
  });
  const body = await response.json();
  return { status: response.status, body, wait: 1000 * Number(response.headers.get("Retry-After") ?? 0) };
}

/** 128 random bits. crypto.randomUUID exists on https and localhost only. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
