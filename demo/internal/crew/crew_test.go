package crew_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/waybill-go/waybill/demo/internal/broker"
	"github.com/waybill-go/waybill/demo/internal/broker/brokertest"
	"github.com/waybill-go/waybill/demo/internal/crew"
	"github.com/waybill-go/waybill/demo/internal/keys"
	"github.com/waybill-go/waybill/demo/internal/watch"
)

// TestMain makes the processes that are replicas here: this binary again.
func TestMain(m *testing.M) {
	if name := os.Getenv("CREW_TEST_REPLICA"); name != "" {
		if err := replica(name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// replica gives signs of life until it is asked to end. It has one request in hand always.
func replica(name string) error {
	role, _, _ := strings.Cut(name, "-")
	line, err := broker.Join(os.Getenv("CREW_TEST_URL"), filepath.Join(os.Getenv("CREW_TEST_DIR"), role), name)
	if err != nil {
		return err
	}
	ctx, drained := context.WithCancel(context.Background())
	if err := crew.Obey(line, name, drained); err != nil {
		return err
	}
	r := watch.NewReporter(line.Conn, name, nil, nil)
	end := r.Begin(ctx, "HTTP")
	r.Pulse(ctx)
	end()
	line.Close()
	fmt.Println("drained")
	return nil
}

// engine starts replicas, and starts one again that has ended, as a container engine does. What a life said in the end is
// sent to ends, as is its exit code.
type engine struct {
	t    *testing.T
	env  []string
	ends chan string
}

func (e engine) start(name string) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(append(os.Environ(), e.env...), "CREW_TEST_REPLICA="+name)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		e.t.Error(err)
		return
	}
	if err := cmd.Start(); err != nil {
		e.t.Error(err)
		return
	}
	over := make(chan struct{})
	e.t.Cleanup(func() { cmd.Process.Kill(); <-over })
	go func() {
		defer close(over)
		said, _ := bufio.NewReader(out).ReadString('\n')
		cmd.Wait()
		if e.t.Context().Err() != nil {
			return
		}
		e.ends <- fmt.Sprint(strings.TrimSpace(said), cmd.ProcessState.ExitCode())
		e.start(name)
	}()
}

func TestCrew(t *testing.T) {
	dir := brokertest.Volumes(t)
	if err := keys.Init(dir); err != nil {
		t.Fatal(err)
	}
	url := brokertest.Start(t, dir)
	line := brokertest.Join(t, url, dir, keys.OperatorName)
	observer, err := watch.NewObserver(line.Conn)
	if err != nil {
		t.Fatal(err)
	}
	c := crew.Follow(line.Conn, observer, []string{"cart", "gateway"})
	e := engine{t, []string{"CREW_TEST_URL=" + url, "CREW_TEST_DIR=" + dir}, make(chan string, 10)}
	for _, name := range []string{"cart-1", "cart-2", "gateway-1", "payment-1"} {
		e.start(name)
	}
	ctx := t.Context()
	for _, name := range []string{"cart-1", "cart-2", "gateway-1"} {
		if err := c.Restart(ctx, name); err != nil { // it is up as soon as it has said so
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(c.Names(""), c.Names("cart"), c.Names("payment")); got != "[cart-1 cart-2 gateway-1] [cart-1 cart-2] []" {
		t.Errorf("names: got %s", got)
	}

	t.Run("kill", func(t *testing.T) {
		if err := observer.Busy(ctx, "cart-2"); err != nil {
			t.Fatal(err)
		}
		life := observer.Life("cart-2")
		if err := c.Kill(ctx, "cart-2"); err != nil {
			t.Fatal(err)
		}
		if end := <-e.ends; end != "137" {
			t.Errorf("it ended with %q, want 137 and not a word", end)
		}
		if cut, err := observer.CutOff(ctx, life); cut != 1 || err != nil {
			t.Errorf("cut off %d: %v, want 1", cut, err)
		}
		if err := c.Restart(ctx, "cart-2"); err != nil {
			t.Fatal(err)
		}
		if now := observer.Life("cart-2"); now == life {
			t.Error("it is up, and it is the one that was killed")
		}
	})

	t.Run("drain", func(t *testing.T) {
		life := observer.Life("gateway-1")
		if err := c.Drain(ctx, "gateway-1", time.Minute); err != nil {
			t.Fatal(err)
		}
		if end := <-e.ends; end != "drained0" {
			t.Errorf("it ended with %q, want what it says when it has drained", end)
		}
		if err := c.Restart(ctx, "gateway-1"); err != nil {
			t.Fatal(err)
		}
		if cut, err := observer.CutOff(ctx, life); cut != 0 || err != nil {
			t.Errorf("cut off %d: %v, want nothing", cut, err)
		}
	})

	t.Run("pause", func(t *testing.T) {
		const d = time.Second
		began := time.Now()
		p := crew.NewPauses(line.Conn)
		p.Pause(d, c.Names(""))
		if !p.Paused() {
			t.Error("not paused")
		}
		for { // until the replica has the order, it still answers
			asked := time.Now()
			if _, err := line.Conn.RequestWithContext(ctx, "chaos.cart-1", nil); err != nil {
				t.Fatal(err)
			}
			if time.Since(asked) > d/2 {
				break
			}
			if time.Since(began) > d {
				t.Fatal("it answered all the time")
			}
		}
		if took := time.Since(began); took < d {
			t.Errorf("it answered after %v, want %v at least", took, d)
		}
		if p.Paused() {
			t.Error("still paused")
		}
	})

	t.Run("nobody", func(t *testing.T) {
		if err := c.Kill(ctx, "cart-9"); err == nil || !strings.Contains(err.Error(), "cart-9 does not answer") {
			t.Errorf("got %v", err)
		}
	})
}
