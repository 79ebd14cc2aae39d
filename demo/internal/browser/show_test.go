package browser

import (
	"os/exec"
	"strings"
	"testing"
	"time"
)

// TestShow presses the one button that does it all, and reads the verdict a minute later.
func TestShow(t *testing.T) {
	browser := browse(t)
	d := start(t)
	tb := open(t, browser, d.url, desk, "light")
	tb.click("#show")
	took := tb.await("the show has begun", `!document.getElementById("scene").hidden && !document.getElementById("scene-progress").hidden`)
	t.Logf("the first scene was in sight %v after the click: %s", took.Round(time.Millisecond), tb.text("#scene-text"))
	if out, err := exec.Command(d.cmd.Path, "show", "--url", d.url).CombinedOutput(); err == nil || !strings.Contains(string(out), "show is running") {
		t.Errorf("demo show, during a show: %v, %q; want a failure that says so", err, out)
	}
	over := false
	for late := time.Now().Add(3 * time.Minute); !over && time.Now().Before(late); time.Sleep(time.Second) {
		over = eval[bool](tb, `!document.getElementById("scene-verdict").hidden`)
	}
	if !over {
		t.Fatalf("the show is not over: %s", tb.text("#scene"))
	}
	tb.click("#scene-verdict")
	tb.await("the verdict is open", `document.getElementById("outcome").open`)
	t.Log(eval[string](tb, `document.getElementById("outcome-lines").innerText`))
	if wrong := eval[string](tb, `[...document.querySelectorAll('#outcome-lines [data-ok="false"]')].map((n) => n.innerText).join("; ")`); wrong != "" {
		t.Errorf("wrong: %s", wrong)
	}
	if lost := tb.text("#waybill-lost"); lost != "0" {
		t.Errorf("waybill lost %s sessions", lost)
	}
	tb.shoot("show")
	tb.quiet()
}
