// In the place of Chart.js, a third of all scripts by weight: the charts here are HTML
// (core/charts.py). unfold's app.js asks for Chart only where a page has a canvas.chart.
