// Looks at a report in headless Chromium: node browser.mjs REPORT.html SCREENSHOT.png
import { chromium } from 'playwright-core';

const [report, screenshot] = process.argv.slice(2);
const args = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];
const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args });
const page = await browser.newPage({ viewport: { width: 1280, height: 1000 } });
const errors = [];
const fetched = [];
page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
page.on('pageerror', (error) => errors.push(String(error)));
page.on('request', (request) => request.url().startsWith('file://') || fetched.push(request.url()));
await page.goto(`file://${report}`);
await page.waitForFunction(() => document.readyState === 'complete');

await page.screenshot({ path: screenshot, fullPage: true });

// A plot draws when its canvas has a pixel of a strong colour: axes and grids are grey.
const plots = await page.evaluate(() => [...document.querySelectorAll('.uplot')].map((plot) => {
  const canvas = plot.querySelector('canvas');
  const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let coloured = 0;
  for (let i = 0; i < data.length; i += 4) {
    const [r, g, b, a] = data.slice(i, i + 4);
    if (a > 40 && Math.max(r, g, b) - Math.min(r, g, b) > 40) coloured += 1;
  }
  const section = plot.closest('figure, section');
  return { name: section?.querySelector('h3, h2, figcaption')?.textContent ?? '?', coloured };
}));

let passed = 0;
let failed = 0;
const check = (holds, what) => {
  console.log(`${holds ? 'ok    ' : 'FAILED'}  ${what}`);
  if (holds) passed += 1; else failed += 1;
};
check(plots.length >= 10, `${plots.length} plots`);
for (const plot of plots) check(plot.coloured > 50, `${plot.name}: ${plot.coloured} coloured pixels`);

// A click on an entry of a legend hides its line.
const shown = () => page.evaluate(() => document.querySelectorAll('.uplot .u-series.u-off').length);
const before = await shown();
await page.locator('.uplot .u-legend .u-series').nth(1).locator('th').click();
check((await shown()) === before + 1, 'a click on a legend toggles its line');
await page.locator('.uplot .u-legend .u-series').nth(1).locator('th').click();

// Dragging over a plot zooms it.
const over = page.locator('.uplot .u-over').first();
await over.scrollIntoViewIfNeeded();
const box = await over.boundingBox();
const ticks = () => page.evaluate(() => document.querySelector('.uplot canvas').toDataURL());
const drawn = await ticks();
await page.mouse.move(box.x + box.width * 0.3, box.y + box.height * 0.5);
await page.mouse.down();
await page.mouse.move(box.x + box.width * 0.6, box.y + box.height * 0.5, { steps: 5 });
await page.mouse.up();
check((await ticks()) !== drawn, 'dragging over a plot zooms it');

check(errors.length === 0, `no error on the console ${errors.join('; ')}`);
check(fetched.length === 0, `nothing is fetched ${fetched.join(' ')}`);
await browser.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);
