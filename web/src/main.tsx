// Starts the page.
import { render } from 'preact';
import { App } from './frame/App';
import { startSettings } from './settings';
import './style/index.css';

startSettings();
const root = document.getElementById('app');
if (root) {
  // What stands there until this script has run.
  root.replaceChildren();
  render(<App />, root);
}
