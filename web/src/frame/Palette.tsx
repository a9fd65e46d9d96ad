// Search and jump (Ctrl-K): pages, actions, and the things that the daemon finds.
import { useEffect, useId, useMemo, useRef, useState } from 'preact/hooks';
import { type PaletteAction } from '../areas';
import { api } from '../api/client';
import { isOperator, mayManage, type Me } from '../api/session';
import { href, isComposing } from '../router';
import { Dialog } from '../ui';
import { areas, loadArea } from './map';

interface Item {
  key: string;
  label: string;
  note: string;
  go: () => void;
}
const typingMs = 150;
const shownMax = 30;

// Every word that is typed is in the text, in any order; 0 is best, null is none.
export function rank(text: string, typed: string): number | null {
  const all = text.toLowerCase();
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.every((word) => all.includes(word))) return null;
  return words.length === 0 || all.startsWith(words[0] ?? '') ? 0 : 1;
}

async function findThings(me: Me, q: string, signal: AbortSignal): Promise<Item[]> {
  const open = (to: string) => () => {
    location.hash = to;
  };
  const asked: Promise<Item[]>[] = [
    api.get('/api/v1/artifacts', { query: { q, limit: 6 }, signal }).then((page) =>
      page.artifacts.map((one) => ({
        key: `artifact ${one.id}`,
        label: one.name || String(one.id),
        note: 'Artifact',
        go: open(href(`/artifacts/${encodeURIComponent(String(one.id))}`)),
      })),
    ),
  ];
  asked.push(
    api.get('/api/v1/members', { query: { q }, signal }).then((list) =>
      list.members
        .map((one) => ({
          key: `member ${one.person_id}`,
          label: one.name || one.email,
          note: 'Member',
          go: open(href('/organization', { q: one.email })),
        })),
    ),
  );
  if (isOperator(me) || mayManage(me)) {
    asked.push(
      api
        .get('/admin/users', { query: { q, limit: 6 }, signal })
        .then((page) =>
          page.users
            .map((one) => ({
              key: `user ${one.user_id}`,
              label: one.email || one.user_id,
              note: 'AI user',
              go: open(href(`/ai/users/${encodeURIComponent(one.user_id)}`)),
            })),
        ),
    );
  }
  const found = await Promise.allSettled(asked);
  return found.flatMap((one) => (one.status === 'fulfilled' ? one.value.slice(0, 6) : []));
}

export function Palette({
  me,
  actions,
  onClose,
}: {
  me: Me;
  actions: PaletteAction[];
  onClose: () => void;
}) {
  const [typed, setTyped] = useState('');
  const [things, setThings] = useState<Item[]>([]);
  const [loaded, setLoaded] = useState<PaletteAction[]>([]);
  const [at, setAt] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const id = useId();
  useEffect(() => {
    void Promise.allSettled(
      areas.filter((one) => one.shows?.(me) ?? true).map((one) => loadArea(one.name)),
    ).then((all) =>
      setLoaded(
        all.flatMap((one) => (one.status === 'fulfilled' ? (one.value.actions ?? []) : [])),
      ),
    );
  }, []);
  useEffect(() => {
    setThings([]);
    if (typed.trim().length < 2) return;
    const stop = new AbortController();
    const timer = setTimeout(() => {
      void findThings(me, typed.trim(), stop.signal).then((found) => {
        if (!stop.signal.aborted) setThings(found);
      });
    }, typingMs);
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [typed]);
  const fixed = useMemo<Item[]>(
    () => [
      ...areas
        .filter((area) => area.shows?.(me) ?? true)
        .flatMap((area) =>
          area.pages
            .filter((page) => page.shows?.(me) ?? true)
            .map((page) => ({
              key: page.path,
              label: page.label,
              note: area.label,
              go: () => {
                location.hash = href(page.path);
              },
            })),
        ),
      ...[...actions, ...loaded]
        .filter((one) => one.shows?.(me) ?? true)
        .map((one) => ({
          key: `action ${one.label}`,
          label: one.label,
          note: 'Action',
          go: one.run,
        })),
    ],
    [loaded, me],
  );
  const items = [
    ...fixed
      .map((item) => ({ item, order: rank(`${item.label} ${item.note}`, typed) }))
      .filter((one) => one.order !== null)
      .sort((a, b) => (a.order ?? 0) - (b.order ?? 0))
      .map((one) => one.item),
    ...things,
  ].slice(0, shownMax);
  const chosen = Math.min(at, items.length - 1);
  const go = (item: Item | undefined) => {
    if (!item) return;
    onClose();
    item.go();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (isComposing(event)) return;
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (by !== undefined) {
      event.preventDefault();
      const next = (chosen + by + items.length) % Math.max(1, items.length);
      setAt(next);
      list.current?.children[next]?.scrollIntoView({ block: 'nearest' });
    } else if (event.key === 'Enter') {
      event.preventDefault();
      go(items[chosen]);
    }
  };
  return (
    <Dialog title="Search or jump" top onClose={onClose}>
      <input
        type="text"
        role="combobox"
        aria-expanded="true"
        aria-controls={id}
        aria-label="Search or jump"
        autofocus
        aria-activedescendant={items[chosen] ? `${id}-${chosen}` : undefined}
        autocomplete="off"
        spellcheck={false}
        placeholder="A page, an action, an artifact, a user …"
        value={typed}
        onKeyDown={onKeyDown}
        onInput={(event) => {
          setTyped(event.currentTarget.value);
          setAt(0);
        }}
      />
      <ul class="palette-list" role="listbox" id={id} ref={list} aria-label="Found">
        {items.map((item, nth) => (
          <li
            key={item.key}
            id={`${id}-${nth}`}
            role="option"
            aria-selected={nth === chosen}
            class="palette-item"
            onPointerMove={() => setAt(nth)}
            onClick={() => go(item)}
          >
            <span dir="auto">{item.label}</span>
            <span class="muted">{item.note}</span>
          </li>
        ))}
      </ul>
      {items.length === 0 && <p class="muted">Nothing is called that.</p>}
    </Dialog>
  );
}
