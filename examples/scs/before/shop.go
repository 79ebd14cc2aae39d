// The command is a small web shop: a cart, a currency, messages, and a login without passwords.
package main

import (
	"bytes"
	"cmp"
	"context"
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/alexedwards/scs/v2"
)

// key is the name of a value that the shop keeps for each visitor.
type key[T any] string

func named[T any](name string) key[T] { return key[T](name) }

var (
	sessions = scs.New()
	cart     = named[[]string]("cart")
	currency = named[string]("currency")
	flash    = named[string]("flash")
	user     = named[string]("user")
)

// get returns a value of the visitor, or the zero value.
func get[T any](r *http.Request, k key[T]) T {
	v, _ := sessions.Get(r.Context(), string(k)).(T)
	return v
}

// put keeps a value for the visitor.
func put[T any](r *http.Request, k key[T], v T) error {
	sessions.Put(r.Context(), string(k), v)
	return nil
}

// signIn keeps the user's name under a new identifier, because others may know the old one.
func signIn(r *http.Request, name string) error {
	return errors.Join(put(r, user, name), sessions.RenewToken(r.Context()))
}

// signOut forgets all values.
func signOut(r *http.Request) error {
	return sessions.Destroy(r.Context())
}

func main() {
	addr := flag.String("addr", "localhost:8080", "listen on this `address`")
	flag.DurationVar(&stockLatency, "stock", 0, "how `long` the stock service takes to answer")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	mux := http.NewServeMux()
	mux.Handle("GET /{$}", action(home))
	mux.Handle("POST /cart", action(addToCart))
	mux.Handle("POST /currency", action(setCurrency))
	mux.Handle("POST /login", action(logIn))
	mux.Handle("POST /logout", action(logOut))
	handler := sessions.LoadAndSave(mux)

	listener := must(net.Listen("tcp", *addr))
	fmt.Printf("the shop is open at http://%s\n", listener.Addr())
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { server.Close() })
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

// action is a handler that may fail.
type action func(http.ResponseWriter, *http.Request) error

func (a action) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := a(w, r); err != nil {
		log.Printf("%s %s: %v", r.Method, r.URL.Path, err)
		http.Error(w, "Something went wrong. Please try again.", http.StatusInternalServerError)
	}
}

func addToCart(w http.ResponseWriter, r *http.Request) error {
	i := slices.IndexFunc(products, func(p product) bool { return p.SKU == r.FormValue("sku") })
	if i < 0 {
		http.Error(w, "There is no such product.", http.StatusNotFound)
		return nil
	}
	reserve(products[i])
	if skus := get(r, cart); !slices.Contains(skus, products[i].SKU) {
		if err := put(r, cart, append(skus, products[i].SKU)); err != nil {
			return err
		}
	}
	return back(w, r, products[i].Name+" is in your cart.")
}

func setCurrency(w http.ResponseWriter, r *http.Request) error {
	name := r.FormValue("currency")
	if _, ok := rates[name]; !ok {
		http.Error(w, "There is no such currency.", http.StatusBadRequest)
		return nil
	}
	if err := put(r, currency, name); err != nil {
		return err
	}
	return back(w, r, "Prices are in "+name+" now.")
}

// logIn accepts every name: a real shop checks a password here.
func logIn(w http.ResponseWriter, r *http.Request) error {
	name := r.FormValue("name")
	if name == "" || len(name) > 50 {
		http.Error(w, "Please enter a name of at most 50 characters.", http.StatusBadRequest)
		return nil
	}
	if err := signIn(r, name); err != nil {
		return err
	}
	return back(w, r, "Welcome, "+name+".")
}

func logOut(w http.ResponseWriter, r *http.Request) error {
	if err := signOut(r); err != nil {
		return err
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

// back shows the shop again, with a message.
func back(w http.ResponseWriter, r *http.Request, message string) error {
	if err := put(r, flash, message); err != nil {
		return err
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
	return nil
}

//go:embed page.html
var html string

var tmpl = template.Must(template.New("page").Parse(html))

type page struct {
	User, Currency, Flash string
	Currencies            []string
	Products, Cart        []product
}

// Price returns the price of a product in the visitor's currency.
func (p page) Price(of product) string {
	return fmt.Sprintf("%.2f %s", of.Euros*rates[p.Currency], p.Currency)
}

func home(w http.ResponseWriter, r *http.Request) error {
	p := page{User: get(r, user), Currency: cmp.Or(get(r, currency), "EUR"), Flash: get(r, flash),
		Currencies: []string{"EUR", "USD", "GBP"}, Products: products}
	skus := get(r, cart)
	for _, product := range products {
		if slices.Contains(skus, product.SKU) {
			p.Cart = append(p.Cart, product)
		}
	}
	if p.Flash != "" { // it is shown once
		if err := put(r, flash, ""); err != nil {
			return err
		}
	}
	var out bytes.Buffer
	if err := tmpl.Execute(&out, p); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err := out.WriteTo(w)
	return err
}

type product struct {
	SKU, Name string
	Euros     float64
}

var products = []product{
	{"boots", "Boots", 129}, {"compass", "Compass", 19}, {"flask", "Flask", 12}, {"gaiters", "Gaiters", 35},
	{"headlamp", "Headlamp", 45}, {"knife", "Knife", 29}, {"map", "Map", 9}, {"mat", "Mat", 59},
	{"poles", "Poles", 79}, {"rope", "Rope", 89}, {"stove", "Stove", 49}, {"tent", "Tent", 299},
}

var rates = map[string]float64{"EUR": 1, "USD": 1.08, "GBP": 0.85}

var stockLatency time.Duration

// reserve asks the stock service, which takes its time.
func reserve(product) { time.Sleep(stockLatency) }
