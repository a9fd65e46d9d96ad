// What the tests use, bundled into one module so that there is one preact.
export { h } from 'preact';
export { render } from 'preact-render-to-string';
export { ApiError, postJson, readMe, readSnapshot } from '../src/api/client';
export { StatusView } from '../src/pages/ops/StatusPage';
export { codeOf, DeviceView, readDevice, SignInWays } from '../src/pages/people/DevicePage';
export { JoinView } from '../src/pages/people/InvitationPage';
export { SignInView, wayOf } from '../src/pages/people/SignInPage';
export { formatDuration, toneOf } from '../src/ui/format';
