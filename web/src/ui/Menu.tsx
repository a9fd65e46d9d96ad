// A button with a list of actions or links under it; arrows move, Esc closes.
import type { ComponentChildren } from 'preact';
import { useEffect, useId, useRef, useState } from 'preact/hooks';

// A line of the list: goes to `href` or does `run`; `danger` looks like it; `chosen` has a mark.
export interface MenuItem {
  label: ComponentChildren;
  href?: string;
  run?: () => void;
  danger?: boolean;
  chosen?: boolean;
  heading?: boolean;
}

export function Menu({
  label,
  button,
  items,
  align = 'left',
  kind = 'plain',
}: {
  label: string;
  button: ComponentChildren;
  items: MenuItem[];
  align?: 'left' | 'right';
  kind?: 'plain' | 'quiet';
}) {
  const [open, setOpen] = useState(false);
  const box = useRef<HTMLDivElement>(null);
  const toggle = useRef<HTMLButtonElement>(null);
  const id = useId();
  useEffect(() => {
    if (!open) return;
    box.current?.querySelector<HTMLElement>('[role^=menuitem]')?.focus();
    const outside = (event: Event) => {
      if (!box.current?.contains(event.target as Node)) setOpen(false);
    };
    addEventListener('pointerdown', outside);
    return () => removeEventListener('pointerdown', outside);
  }, [open]);
  const close = () => {
    setOpen(false);
    toggle.current?.focus();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (!open) return;
    const all = [...(box.current?.querySelectorAll<HTMLElement>('[role^=menuitem]') ?? [])];
    const at = all.indexOf(document.activeElement as HTMLElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1 + all.length, Home: 0, End: all.length - 1 }[
      event.key
    ];
    if (to !== undefined) {
      event.preventDefault();
      all[to % all.length]?.focus();
    } else if (event.key === 'Escape') {
      event.preventDefault();
      event.stopPropagation();
      close();
    } else if (event.key === 'Tab') {
      setOpen(false);
    }
  };
  return (
    <div class={`menu align-${align}`} ref={box} onKeyDown={onKeyDown}>
      <button
        type="button"
        ref={toggle}
        class={`button ${kind}`}
        aria-haspopup="menu"
        aria-expanded={open}
        aria-controls={open ? id : undefined}
        aria-label={label}
        onClick={() => setOpen(!open)}
      >
        {button}{' '}
        <span aria-hidden="true" class="caret">
          ▾
        </span>
      </button>
      {open && (
        <div class="menu-list" role="menu" id={id} aria-label={label}>
          {items.map((item, at) => {
            if (item.heading)
              return (
                <div key={at} role="presentation" class="menu-heading">
                  {item.label}
                </div>
              );
            const role = item.chosen === undefined ? 'menuitem' : 'menuitemradio';
            const attributes = {
              role,
              tabIndex: -1,
              class: item.danger ? 'menu-item danger' : 'menu-item',
              ...(item.chosen !== undefined && { 'aria-checked': item.chosen }),
            } as const;
            return item.href !== undefined ? (
              <a key={at} {...attributes} href={item.href} onClick={() => setOpen(false)}>
                {item.label}
              </a>
            ) : (
              <button
                key={at}
                type="button"
                {...attributes}
                onClick={() => {
                  close();
                  item.run?.();
                }}
              >
                {item.label}
              </button>
            );
          })}
        </div>
      )}
    </div>
  );
}
