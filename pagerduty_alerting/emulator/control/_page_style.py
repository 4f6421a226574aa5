"""The style sheet of the page; it must not refer to anything outside the page."""

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1.15rem; margin-top: 2rem; }
h3 { font-size: 1rem; font-weight: normal; margin-bottom: 0; }
code { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere; }
.token { border: 1px solid #8886; border-radius: .5rem; padding: 1rem; margin: 1rem 0; }
.token p { margin-top: 0; }
fieldset { border: 0; margin: 0 0 1rem; padding: 0; min-width: 0; }
label, td, th, h3, li { overflow-wrap: anywhere; }
legend { font-weight: 600; padding: 0; }
label { display: block; padding: .15rem 0; }
textarea { display: block; width: 100%; box-sizing: border-box; font: inherit; }
button { font: inherit; padding: .4rem 1rem; border-radius: .4rem; border: 1px solid #06ac38;
  background: #048a24; color: #fff; cursor: pointer; }
button:focus-visible, input:focus-visible, textarea:focus-visible { outline: 3px solid #4a90d9; }
button.quiet { background: none; color: inherit; border-color: #8886; margin-top: 2rem; }
.problem { border-left: 4px solid #c0392b; padding: .5rem 1rem; background: #c0392b22; }
.empty { opacity: .75; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
caption { text-align: left; font-weight: 600; padding: .5rem 0; }
th, td { text-align: left; padding: .3rem .5rem; border-bottom: 1px solid #8884; vertical-align: top; }
@media (max-width: 40rem) { th, td { padding: .3rem .25rem; } table { font-size: .8rem; } }
"""
