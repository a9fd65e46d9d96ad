// What stands around every page of somebody who is signed in: the areas, the place, search, health
// and the person.
import type { ComponentChildren } from 'preact';
import { useCallback, useEffect, useRef, useState } from 'preact/hooks';
import type { Me } from '../api/session';
import type { Area, NavPage, PaletteAction } from '../areas';
import { href, navigate, usePlace, useShortcut } from '../router';
import { changeSettings } from '../settings';
import { areaOf, areas } from './map';
import { HealthMark } from './health';
import { Palette } from './Palette';
import { PersonMenu } from './PersonMenu';
import { PlaceSwitch } from './PlaceSwitch';
import { ShortcutList } from './Shortcuts';

// The page of an area that a path belongs to: the longest that begins it.
export function pageOf(area: Area, path: string): NavPage | undefined {
  return area.pages
    .filter((page) => path === page.path || (page.path !== '/' && path.startsWith(`${page.path}/`)))
    .sort((a, b) => b.path.length - a.path.length)[0];
}

const actions: PaletteAction[] = [
  { label: 'Theme: light', run: () => changeSettings({ theme: 'light' }) },
  { label: 'Theme: dark', run: () => changeSettings({ theme: 'dark' }) },
  { label: 'Theme: as the system', run: () => changeSettings({ theme: 'system' }) },
  { label: 'Account', run: () => navigate(href('/account')) },
  { label: 'Password and second factor', run: () => navigate(href('/account/security')) },
  { label: 'Sessions and sign-ins', run: () => navigate(href('/account/sessions')) },
];

function AreaJump({ area }: { area: Area }) {
  const first = area.pages[0]?.path ?? '/';
  useShortcut(
    `g ${area.letter}`,
    `Go to ${area.label}`,
    useCallback(() => navigate(href(first)), [first]),
  );
  return null;
}

function Pages({ area, path, me }: { area: Area; path: string; me: Me }) {
  const current = pageOf(area, path);
  return (
    <>
      {area.pages
        .filter((page) => page.shows?.(me) ?? true)
        .map((page) => (
          <a
            key={page.path}
            href={href(page.path)}
            aria-current={page === current ? 'page' : undefined}
          >
            {page.label}
          </a>
        ))}
    </>
  );
}

export function Frame({ me, children }: { me: Me; children: ComponentChildren }) {
  const { path } = usePlace();
  const [open, setOpen] = useState<'palette' | 'shortcuts' | null>(null);
  const shown = areas.filter((area) => area.shows?.(me) ?? true);
  const here = shown.find((area) => area.name === areaOf(path) && pageOf(area, path));
  useShortcut(
    'mod+k',
    'Search or jump',
    useCallback(() => setOpen('palette'), []),
  );
  useShortcut(
    '?',
    'These shortcuts',
    useCallback(() => setOpen('shortcuts'), []),
  );
  useEffect(() => setOpen(null), [path]);
  // In the bar of a narrow screen the page's own name is seen, wherever it stands.
  const bar = useRef<HTMLElement>(null);
  useEffect(() => {
    const link = bar.current?.querySelector<HTMLElement>('[aria-current]');
    if (!link || !bar.current) return;
    bar.current.scrollLeft = link.offsetLeft - (bar.current.clientWidth - link.offsetWidth) / 2;
  }, [path]);
  return (
    <div class="frame">
      <a
        class="skip visually-hidden"
        href="#main"
        onClick={(event) => {
          event.preventDefault();
          document.getElementById('main')?.focus();
        }}
      >
        Skip to the page
      </a>
      {shown.map((area) => (
        <AreaJump key={area.name} area={area} />
      ))}
      <header class="top">
        <a class="brand" href={href('/')} aria-label="kvcs: overview">
          <img src="favicon.svg" alt="" width="20" height="20" />
          <span>kvcs</span>
        </a>
        <PlaceSwitch me={me} />
        <button
          type="button"
          class="button plain search-open"
          aria-keyshortcuts="Control+K"
          onClick={() => setOpen('palette')}
        >
          <span>
            Search<span class="search-rest"> or jump</span>
          </span>
          <kbd aria-hidden="true">Ctrl K</kbd>
        </button>
        <div class="top-right">
          <HealthMark />
          <PersonMenu me={me} onShortcuts={() => setOpen('shortcuts')} />
        </div>
      </header>
      <nav class="side" aria-label="Areas">
        <ul>
          {shown.map((area) => (
            <li key={area.name}>
              <a
                class="area"
                href={href(area.pages[0]?.path ?? '/')}
                aria-current={area === here ? 'true' : undefined}
              >
                {area.label}
              </a>
              {area === here && area.pages.length > 1 && (
                <div class="sub">
                  <Pages area={area} path={path} me={me} />
                </div>
              )}
            </li>
          ))}
        </ul>
      </nav>
      {here && here.pages.length > 1 && (
        <nav class="sub-bar" aria-label={here.label} ref={bar}>
          <Pages area={here} path={path} me={me} />
        </nav>
      )}
      <main class="main" id="main" tabIndex={-1}>
        {children}
      </main>
      <nav class="bottom" aria-label="Areas, at the bottom">
        {shown.map((area) => (
          <a
            key={area.name}
            href={href(area.pages[0]?.path ?? '/')}
            aria-current={area === here ? 'true' : undefined}
          >
            {area.label}
          </a>
        ))}
      </nav>
      {open === 'palette' && <Palette me={me} actions={actions} onClose={() => setOpen(null)} />}
      {open === 'shortcuts' && <ShortcutList onClose={() => setOpen(null)} />}
    </div>
  );
}
