// Things to copy: ids, commands in several languages, secrets that are shown once.
import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { shortId } from './format';

const confirmationMs = 1600;

// Copies, and says that it did. Without the clipboard (plain HTTP on another host) `select` shows
// what to copy by hand.
function useCopy(text: string, select?: () => void): [string, () => void] {
  const [said, setSaid] = useState('');
  useEffect(() => {
    if (said === '') return;
    const timer = setTimeout(() => setSaid(''), confirmationMs);
    return () => clearTimeout(timer);
  }, [said]);
  const byHand = () => {
    select?.();
    setSaid(select ? 'Selected' : 'Not copied');
  };
  const copy = () => {
    if (!navigator.clipboard) return byHand();
    navigator.clipboard.writeText(text).then(() => setSaid('Copied'), byHand);
  };
  return [said, copy];
}

// Selects what `element` shows, once `wanted` is drawn.
function useSelected(element: { current: HTMLElement | null }, wanted: boolean): void {
  useEffect(() => {
    if (wanted && element.current) getSelection()?.selectAllChildren(element.current);
  }, [wanted]);
}

// A button that copies a text; `label` names what: "Copy: the key". `select`: shows the text to be copied by
// hand where there is no clipboard.
export function Copy({
  text,
  label,
  select,
  children = 'Copy',
}: {
  text: string;
  label: string;
  select?: () => void;
  children?: ComponentChildren;
}) {
  const [said, copy] = useCopy(text, select);
  return (
    <button type="button" class="button plain" onClick={copy} aria-label={said || `Copy: ${label}`}>
      <span aria-live="polite">{said || children}</span>
    </button>
  );
}

// An id or another short text of machines, shortened in the middle; a click copies all of it.
export function Code({
  text,
  chars = 14,
  label = 'id',
}: {
  text: string;
  chars?: number;
  label?: string;
}) {
  const code = useRef<HTMLElement>(null);
  const [whole, showWhole] = useState(false);
  const [said, copy] = useCopy(text, () => showWhole(true));
  useSelected(code, whole);
  return (
    <button
      type="button"
      class="code-copy"
      title={`Copy ${label} ${text}`}
      onClick={(event) => {
        event.stopPropagation();
        copy();
      }}
    >
      <code ref={code}>{whole ? text : shortId(text, chars)}</code>
      <span class="code-said" aria-live="polite">
        {said}
      </span>
    </button>
  );
}

// Shell lines with a button that copies them.
export function Command({ label, lines }: { label: string; lines: string[] }) {
  const code = useRef<HTMLElement>(null);
  const text = lines.join('\n');
  const select = () => {
    if (code.current) getSelection()?.selectAllChildren(code.current);
  };
  return (
    <div class="command">
      <pre tabIndex={0} aria-label={label}>
        <code ref={code}>{text}</code>
      </pre>
      <Copy text={text} label={label} select={select} />
    </div>
  );
}

// The same call in several languages: {curl: "…", CLI: "…", Python: "…", JS: "…"}.
export function Commands({ label, ways }: { label: string; ways: Record<string, string> }) {
  const names = Object.keys(ways);
  const [chosen, choose] = useState(names[0] ?? '');
  const name = names.includes(chosen) ? chosen : (names[0] ?? '');
  return (
    <div class="commands">
      <div class="tabs small" role="group" aria-label={`${label}: language`}>
        {names.map((one) => (
          <button
            key={one}
            type="button"
            class="tab"
            aria-pressed={one === name}
            onClick={() => choose(one)}
          >
            {one}
          </button>
        ))}
      </div>
      <Command label={`${label}, ${name}`} lines={(ways[name] ?? '').split('\n')} />
    </div>
  );
}

// A secret that the daemon shows once: masked until asked for, copied by a button that says so.
export function Secret({
  text,
  label,
  children,
}: {
  text: string;
  label: string;
  children?: ComponentChildren;
}) {
  const code = useRef<HTMLElement>(null);
  const [shown, show] = useState(false);
  const [selected, setSelected] = useState(false);
  useSelected(code, shown && selected);
  const select = () => {
    show(true);
    setSelected(true);
  };
  return (
    <div class="secret">
      <p tabIndex={-1}>{children ?? `${label} is made. Copy it now; it is not shown again.`}</p>
      <div class="secret-row">
        <code ref={code}>{shown ? text : '•'.repeat(Math.min(text.length, 32))}</code>
        <button
          type="button"
          class="button quiet"
          aria-pressed={shown}
          onClick={() => {
            show(!shown);
            setSelected(false);
          }}
        >
          {shown ? 'Hide' : 'Show'}
        </button>
        <Copy text={text} label={label} select={select}>
          Copy
        </Copy>
      </div>
    </div>
  );
}
