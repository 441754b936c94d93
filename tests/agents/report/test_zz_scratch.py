"""scratch: write the sample"""
import sys, pathlib
def test_write(report, story):
    from interlock.agents.report import write
    from PIL import Image, ImageDraw
    import io
    im=Image.new("RGB",(900,360),"white"); d=ImageDraw.Draw(im); d.rectangle((60,60,300,200),outline="navy",width=3); d.text((80,100),"RDS PostgreSQL",fill="black")
    b=io.BytesIO(); im.save(b,"PNG")
    print(write(pathlib.Path("/tmp/hp_out"), report, envelopes=story.envelopes, diagram=b.getvalue()))
def test_narrate(report, story):
    from interlock.agents.report import Narrator, write
    files = write(pathlib.Path("/tmp/hp_out2"), report, envelopes=story.envelopes, diagram=None)
    n=Narrator(sys.__stdout__, started=report.started_at)
    n._console=__import__("rich.console").console.Console(file=sys.__stdout__,force_terminal=True,width=150)
    n.note("broker: private RabbitMQ 4.1.0")
    for e in story.envelopes: n.message(e)
    n.state("analysing", at=story.now)
    n.summary(report, files)
