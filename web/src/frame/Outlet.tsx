// Finds the page of the address, loads it, and draws it; focus goes to its heading.
import type { ComponentType } from 'preact';
import { Component, type ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { wordsOf } from '../api/client';
import type { PageProps, PageRoute } from '../areas';
import { href, PlaceContext, usePlace } from '../router';
import { ErrorBox, LinkButton, Page, Skeleton } from '../ui';
import { findRoute } from './map';

type Loaded =
  | {
      kind: 'page';
      path: string;
      route: PageRoute;
      params: Record<string, string>;
      page: ComponentType<PageProps>;
    }
  | { kind: 'none'; path: string }
  | { kind: 'failed'; path: string; error: unknown };

const stayMs = 250;

// The page of a path. While it is on its way the one before stays, so that nothing flickers; but not
// for longer than `stayMs`, and then there is none.
export function useRoute(path: string): Loaded | undefined {
  const [loaded, setLoaded] = useState<Loaded | undefined>(undefined);
  useEffect(() => {
    let alive = true;
    const say = (next: Loaded) => {
      clearTimeout(timer);
      if (alive) setLoaded(next);
    };
    const timer = setTimeout(() => {
      if (alive) setLoaded(undefined);
    }, stayMs);
    findRoute(path)
      .then(async (found) => {
        if (!found) return say({ kind: 'none', path });
        const page = (await found.route.load()).default;
        say({ kind: 'page', path, ...found, page });
      })
      .catch((error: unknown) => say({ kind: 'failed', path, error }));
    return () => {
      alive = false;
      clearTimeout(timer);
    };
  }, [path]);
  return loaded;
}

// A page that breaks takes nothing else along.
class Guard extends Component<{ children: ComponentChildren }, { error: unknown }> {
  override state = { error: undefined as unknown };
  static getDerivedStateFromError(error: unknown) {
    return { error };
  }
  override render() {
    if (this.state.error === undefined) return this.props.children;
    return (
      <Page title="This page broke">
        <ErrorBox
          error={
            new Error(
              `What the daemon sent is not what this page expects (${wordsOf(this.state.error)}). ` +
                'It may be newer than the page; load the page anew.',
            )
          }
          onRetry={() => this.setState({ error: undefined })}
        />
      </Page>
    );
  }
}

export function Outlet({ loaded }: { loaded: Loaded | undefined }) {
  const live = usePlace();
  const place = useRef(live);
  // The page that stays while the next one loads keeps its place.
  if (!loaded || loaded.path === live.path) place.current = live;
  const before = useRef<string | null>(null);
  const path = loaded?.path;
  useEffect(() => {
    if (path === undefined) return;
    // The first page leaves the focus where the browser has it.
    if (before.current !== null && before.current !== path) {
      document.querySelector<HTMLElement>('main h1')?.focus({ preventScroll: true });
      scrollTo(0, 0);
    }
    before.current = path;
  }, [path]);
  if (!loaded) return <Skeleton lines={5} />;
  if (loaded.kind === 'failed') {
    return (
      <Page title="The page did not load">
        <ErrorBox
          error={
            new Error(`${wordsOf(loaded.error)}. The daemon may be down, or newer than this page.`)
          }
          onRetry={() => location.reload()}
        />
      </Page>
    );
  }
  if (loaded.kind === 'none') {
    return (
      <Page title="No such page">
        <p>
          There is nothing at <code>{loaded.path}</code>.{' '}
          <LinkButton href={href('/')}>Overview</LinkButton>
        </p>
      </Page>
    );
  }
  const { page: Content } = loaded;
  return (
    <Guard key={loaded.path}>
      <PlaceContext.Provider value={place.current}>
        <Content params={loaded.params} query={place.current.query} />
      </PlaceContext.Provider>
    </Guard>
  );
}
