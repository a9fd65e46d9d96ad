// The shape of a page: its name, one sentence of state, one primary action, then rows.
import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import { href, usePlace, useTitle } from '../router';

// `state`: the sentence with its figure ("120 artifacts · 1.20 TiB of 2.00 TiB"). `back`: the list that this
// detail is of. `action`: the one primary button; `more`: others beside it.
export function Page({
  title,
  state,
  action,
  more,
  back,
  children,
}: {
  title: string;
  state?: ComponentChildren;
  action?: ComponentChildren;
  more?: ComponentChildren;
  back?: { href: string; label: string };
  children: ComponentChildren;
}) {
  useTitle(title);
  return (
    <div class="page">
      <header class="page-head">
        <div class="page-words">
          {back && (
            <a class="back" href={back.href}>
              ← {back.label}
            </a>
          )}
          <h1 tabIndex={-1} dir="auto">
            {title}
          </h1>
          {state && <p class="page-state">{state}</p>}
        </div>
        {(action || more) && (
          <div class="page-actions">
            {more}
            {action}
          </div>
        )}
      </header>
      {children}
    </div>
  );
}

// A part of a page under a heading of its own.
export function Section({
  title,
  action,
  children,
  note,
}: {
  title: string;
  action?: ComponentChildren;
  note?: ComponentChildren;
  children: ComponentChildren;
}) {
  const id = useId();
  return (
    <section class="section" aria-labelledby={id}>
      <header class="section-head">
        <h2 id={id}>{title}</h2>
        {action}
      </header>
      {note && <p class="muted">{note}</p>}
      {children}
    </section>
  );
}

export interface Fact {
  label: string;
  value: ComponentChildren;
  href?: string | undefined;
  note?: ComponentChildren;
}
// Names and values of one thing, in columns as wide as there is room.
export function Facts({ facts }: { facts: Fact[] }) {
  return (
    <dl class="facts">
      {facts.map((one) => (
        <div key={one.label}>
          <dt>{one.label}</dt>
          <dd>{one.href ? <a href={one.href}>{one.value}</a> : one.value}</dd>
          {one.note && <dd class="muted small">{one.note}</dd>}
        </div>
      ))}
    </dl>
  );
}

// Large figures at the head of a page; each is a link to the rows that it sums.
export function Figures({ figures }: { figures: Fact[] }) {
  return (
    <ul class="figures">
      {figures.map((one) => {
        const inside = (
          <>
            <span class="figure-label">{one.label}</span>
            <span class="figure-value">{one.value}</span>
            {one.note && <span class="figure-note">{one.note}</span>}
          </>
        );
        return (
          <li key={one.label}>
            {one.href ? <a href={one.href}>{inside}</a> : <div>{inside}</div>}
          </li>
        );
      })}
    </ul>
  );
}

export interface Tab {
  name: string;
  label: ComponentChildren;
}
// Parts of one page, chosen by `?tab=` of the address.
export function Tabs({
  tabs,
  label,
  param = 'tab',
}: {
  tabs: Tab[];
  label: string;
  param?: string;
}) {
  const { path, query } = usePlace();
  const chosen = query.get(param) ?? tabs[0]?.name;
  return (
    <nav class="tabs" aria-label={label}>
      {tabs.map((one, at) => (
        <a
          key={one.name}
          class="tab"
          aria-current={one.name === chosen ? 'page' : undefined}
          href={href(path, { ...Object.fromEntries(query), [param]: at === 0 ? null : one.name })}
        >
          {one.label}
        </a>
      ))}
    </nav>
  );
}
// Which one is chosen.
export function useTab(tabs: Tab[], param = 'tab'): string {
  const asked = usePlace().query.get(param);
  return tabs.find((one) => one.name === asked)?.name ?? tabs[0]?.name ?? '';
}
