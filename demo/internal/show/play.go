package show

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/waybill-go/waybill/demo/internal/page"
	"github.com/waybill-go/waybill/demo/internal/wait"
)

// Play makes a running page play the 60-second show, tells its progress to w, and returns the
// verdict. It writes the report into a directory, if one is named.
func Play(ctx context.Context, url, dir string, w io.Writer) (*Verdict, error) {
	b := browser{strings.TrimSuffix(url, "/")}
	if _, err := b.do(ctx, http.MethodPost, "show"); err != nil {
		return nil, err
	}
	if err := b.watch(ctx, w); err != nil {
		return nil, err
	}
	data, err := b.do(ctx, http.MethodGet, "report/"+ReportFile)
	if err != nil {
		return nil, err
	}
	var r Report
	if err := json.Unmarshal(data, &r); err != nil || dir == "" {
		return r.Verdict, err
	}
	return r.Verdict, save(dir, data)
}

// browser presses the buttons.
type browser struct{ url string }

func (b browser) do(ctx context.Context, method, control string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, b.url+"/api/"+control, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("is the page there? %w", err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 400 {
		err = errors.New(strings.TrimSpace(string(data)))
	}
	return data, err
}

// late is how long a page may take to show that its show has begun.
const late = 5 * time.Second

// watch tells what happens, and returns when the show is over.
func (b browser) watch(ctx context.Context, w io.Writer) error {
	began, scene := time.Now(), ""
	for {
		data, err := b.do(ctx, http.MethodGet, "snapshot")
		if err != nil {
			return err
		}
		var s page.Snapshot
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		running := s.Show != nil && s.Show.Running
		switch {
		case running && s.Show.Scene != scene:
			scene = s.Show.Scene
			fmt.Fprintf(w, "  %4.1f s  %s\n", s.Show.Elapsed, scene)
		case running, scene == "" && time.Since(began) < late:
		case s.Show == nil:
			return errors.New("the page was restarted, and the show ended with it")
		default:
			return nil
		}
		if err := wait.For(ctx, frame); err != nil {
			return err
		}
	}
}
