// A stage for hooks without a browser: components that draw nothing, drawn at once; and a clock that stands
// until it is moved.
class Node extends EventTarget {
  childNodes = [];
  get firstChild() {
    return this.childNodes[0] ?? null;
  }
  get ownerDocument() {
    return globalThis.document;
  }
  insertBefore(child, before) {
    this.removeChild(child);
    const at = before ? this.childNodes.indexOf(before) : this.childNodes.length;
    this.childNodes.splice(at, 0, child);
    child.parentNode = this;
    return child;
  }
  appendChild(child) {
    return this.insertBefore(child, null);
  }
  removeChild(child) {
    this.childNodes = this.childNodes.filter((one) => one !== child);
  }
}

// Lets everything run that waits for nothing but its turn.
export const settle = async () => {
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
};

// Runs `hook(...args)` as a component does. `now()` is what it gave last; `redraw` calls it with others.
export async function stage(web, hook, ...args) {
  web.options.debounceRendering = queueMicrotask;
  web.options.requestAnimationFrame = queueMicrotask;
  const root = new Node();
  let last;
  const Probe = ({ args: given }) => {
    last = hook(...given);
    return null;
  };
  const redraw = async (...given) => {
    web.draw(web.h(Probe, { args: given }), root);
    await settle();
  };
  await redraw(...args);
  return {
    now: () => last,
    redraw,
    leave: async () => {
      web.draw(null, root);
      await settle();
    },
  };
}

// Timers that run when `pass(ms)` says so, in their order; Date.now goes along.
export function standingClock(t) {
  const real = { setTimeout, clearTimeout, now: Date.now };
  let now = real.now();
  let lastId = 0;
  const timers = new Map();
  globalThis.setTimeout = (run, ms = 0, ...args) => {
    timers.set(++lastId, { at: now + ms, run: () => run(...args) });
    return lastId;
  };
  globalThis.clearTimeout = (id) => timers.delete(id);
  Date.now = () => now;
  t.after(() => Object.assign(globalThis, { setTimeout: real.setTimeout, clearTimeout: real.clearTimeout }) && (Date.now = real.now));
  return async (ms) => {
    const end = now + ms;
    for (;;) {
      const [id, next] = [...timers].sort(([, a], [, b]) => a.at - b.at)[0] ?? [];
      if (!next || next.at > end) break;
      timers.delete(id);
      now = Math.max(now, next.at);
      next.run();
      await settle();
    }
    now = end;
    await settle();
  };
}
