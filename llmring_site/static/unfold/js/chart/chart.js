// Replaces Chart.js, a third of the size of all scripts: the charts here are HTML
// (core/charts.py). unfold's app.js asks for Chart only where a page has a canvas.chart.
