// Windows on top of the page. The browser's <dialog> keeps the focus inside; it goes back to where
// it was.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';
import { useAction } from '../api/query';
import { Button } from './controls';
import { ErrorBox } from './feedback';

// `onClose`: Esc and the Close button. What is typed inside is not lost by a click beside it.
// `wide`: for tables and code; `side`: a detail beside its list; `top`: grows downwards.
export function Dialog({
  title,
  children,
  onClose,
  wide = false,
  side = false,
  top = false,
}: {
  title: string;
  children: ComponentChildren;
  onClose: () => void;
  wide?: boolean;
  side?: boolean;
  top?: boolean;
}) {
  const box = useRef<HTMLDialogElement>(null);
  const head = useRef<HTMLHeadingElement>(null);
  const id = useId();
  useEffect(() => {
    const before = document.activeElement as HTMLElement | null;
    const dialog = box.current;
    if (dialog && !dialog.open) dialog.showModal();
    dialog
      ?.querySelector<HTMLElement>(
        '[autofocus], .dialog-body input:not([hidden]), .dialog-body select, .dialog-body textarea',
      )
      ?.focus();
    // What had the focus may give way to a result, such as a new key: the focus goes to that, or to the title.
    const keepFocus = new MutationObserver(() => {
      if (!dialog?.open || document.activeElement !== document.body) return;
      (dialog.querySelector<HTMLElement>('.dialog-body p[tabindex="-1"]') ?? head.current)?.focus();
    });
    if (dialog) keepFocus.observe(dialog, { childList: true, subtree: true });
    return () => {
      keepFocus.disconnect();
      dialog?.close();
      before?.focus?.();
    };
  }, []);
  return (
    <dialog
      ref={box}
      class={`dialog${wide ? ' wide' : ''}${side ? ' side' : ''}${top ? ' top' : ''}`}
      aria-labelledby={id}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
    >
      <header class="dialog-head">
        <h2 id={id} ref={head} tabIndex={-1}>
          {title}
        </h2>
        <Button kind="quiet" onClick={onClose}>
          Close
        </Button>
      </header>
      <div class="dialog-body">{children}</div>
    </dialog>
  );
}

// For what cannot be undone: the button works once `typed` (the thing's name) is typed.
export function Confirm({
  title,
  children,
  typed,
  action,
  onConfirm,
  onClose,
}: {
  title: string;
  children: ComponentChildren;
  typed?: string;
  action: string;
  onConfirm: () => Promise<unknown>;
  onClose: () => void;
}) {
  const [text, setText] = useState('');
  const id = useId();
  const { run, busy, error } = useAction(onConfirm);
  const ready = typed === undefined || text.trim() === typed.trim();
  const confirm = async () => {
    if (ready && (await run())) onClose();
  };
  return (
    <Dialog title={title} onClose={onClose}>
      <form
        class="form"
        onSubmit={(event) => {
          event.preventDefault();
          void confirm();
        }}
      >
        <div>{children}</div>
        {typed !== undefined && (
          <div class="field">
            <label for={id}>
              Type <code>{typed}</code> to go on
            </label>
            <input
              id={id}
              value={text}
              autocomplete="off"
              spellcheck={false}
              onInput={(event) => setText(event.currentTarget.value)}
            />
          </div>
        )}
        {error && <ErrorBox error={error} />}
        <div class="form-actions">
          <Button type="submit" kind="danger" busy={busy} disabled={!ready}>
            {action}
          </Button>
          <Button kind="quiet" onClick={onClose}>
            Cancel
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
