// Runs before the page is drawn, so that a chosen theme does not flash by as the other one.
document.documentElement.dataset.theme = localStorage.getItem("routingsim-theme") ?? "";
