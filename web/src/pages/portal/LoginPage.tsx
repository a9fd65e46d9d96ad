// Sign in, and go on to what was asked for.
import { loadMe } from '../../api/session';
import type { PageProps } from '../../areas';
import { href, navigate, useTitle } from '../../router';
import { SignIn } from './SignIn';

// Only pages of this dashboard are gone on to.
export function nextOf(query: URLSearchParams): string {
  const next = query.get('next') ?? '';
  return next.startsWith('#/') && !next.startsWith('#/login') ? next : href('/');
}

export default function LoginPage({ query }: PageProps) {
  useTitle('Sign in');
  const next = nextOf(query);
  return (
    <>
      <h1>Sign in</h1>
      <SignIn
        next={next}
        onDone={() => {
          void loadMe().then(() => navigate(next, { replace: true }));
        }}
      />
    </>
  );
}
