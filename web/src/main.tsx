import { render } from 'preact';
import { useEffect, useState } from 'preact/hooks';
import { StatusPage } from './pages/ops/StatusPage';
import { codeOf, DevicePage } from './pages/people/DevicePage';
import { InvitationPage } from './pages/people/InvitationPage';
import { SignInPage, wayOf } from './pages/people/SignInPage';
import './style/tokens.css';
import './style/base.css';
import './style/components.css';

// The part of the address behind '#' names the page.
function App() {
  const [hash, setHash] = useState(location.hash);
  useEffect(() => {
    const follow = () => setHash(location.hash);
    addEventListener('hashchange', follow);
    return () => removeEventListener('hashchange', follow);
  }, []);
  const code = codeOf(hash);
  if (code !== null) return <DevicePage key={hash} code={code} />;
  const asked = wayOf(hash);
  if (asked?.way === 'invitation') return <InvitationPage key={asked.token} token={asked.token} />;
  return asked ? <SignInPage key={asked.way} {...asked} /> : <StatusPage />;
}

const root = document.getElementById('app');
if (root) render(<App />, root);
