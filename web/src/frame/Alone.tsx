// A page without the frame: the ways in, and what is open to everybody.
import type { ComponentChildren } from 'preact';
import { href } from '../router';

export function Alone({ children, wide = false }: { children: ComponentChildren; wide?: boolean }) {
  return (
    <div class={wide ? 'alone wide' : 'alone'}>
      <header class="alone-head">
        <a class="brand" href={href('/')}>
          <img src="favicon.svg" alt="" width="24" height="24" />
          <span>kvcs</span>
        </a>
        {wide && <a href={href('/login')}>Sign in</a>}
      </header>
      <main id="main" tabIndex={-1}>
        {children}
      </main>
    </div>
  );
}
