/*
 * Find the nuclei of the open image, or of its selected annotations, with nucleus-unet, and add them to QuPath.
 *
 * For QuPath 0.5 and 0.6. Only documented functions of QuPath are used. The script was not run in QuPath.
 *
 * Before: pip install 'nucleus-unet[slides,roi]'
 * Then:   open an image, select annotations or none, and run this script from Automate > Script editor.
 *         docs/how-to/qupath.md describes each step.
 */

import groovy.json.JsonSlurper
import java.util.zip.GZIPInputStream
import qupath.lib.io.PathIO

// The program. If QuPath does not find it, give its full path: 'which nucleus-unet' or 'where nucleus-unet' tells it.
def program = System.getenv('NUCLEUS_UNET') ?: 'nucleus-unet'
// Options of the command, each word on its own. '--expand', '8' makes cells, '--measure' adds measurements.
def options = ['--expand', '8', '--measure', 'intensity,shape']

// ---------------------------------------------------------------------------------------------------------------

def server = getCurrentServer()
if (server == null)
    throw new IllegalStateException('Open an image first.')
def uris = server.getURIs()
if (uris.size() != 1 || uris[0].getScheme() != 'file')
    throw new IllegalStateException('Expected an image that is one file on this computer, got ' + uris)
def image = new File(new URI('file', uris[0].getAuthority(), uris[0].getPath(), null, null))

// A new folder for each run: in the project, or a temporary one.
def project = getProject()
def parent = project == null ? new File(System.getProperty('java.io.tmpdir')) : project.getPath().getParent().toFile()
def results = new File(parent, 'nucleus-unet' + File.separator + image.getName() + '-' + System.currentTimeMillis())
results.getParentFile().mkdirs()

def command = [program, 'slide', image.getAbsolutePath(), '--out', results.getAbsolutePath()]
def calibration = server.getPixelCalibration()
if (calibration.hasPixelSizeMicrons())
    command += ['--mpp', String.valueOf(calibration.getAveragedPixelSizeMicrons())]
def areas = getSelectedObjects().findAll { it.isAnnotation() && it.hasROI() && it.getROI().isArea() }
if (!areas.isEmpty()) {
    def regions = new File(results.getAbsolutePath() + '-regions.geojson')
    exportObjectsToGeoJson(areas, regions.getAbsolutePath(), 'FEATURE_COLLECTION')
    command += ['--roi', regions.getAbsolutePath()]
}
command += options
println command.join(' ')

def process
try {
    process = new ProcessBuilder(command.collect { it.toString() }).redirectErrorStream(true).start()
} catch (IOException error) {
    throw new IllegalStateException("Cannot start ${program}: write its full path at the top of this script. " + error)
}
process.getInputStream().eachLine('UTF-8') { println it }
if (process.waitFor() != 0)
    throw new IllegalStateException('nucleus-unet could not segment the image. The lines above say why.')

// Objects lie in pixels of the file. QuPath must show the same ones: not turned, cropped or one of several scenes.
def plan = new JsonSlurper().parse(new File(results, 'plan.json'), 'UTF-8')
if (plan.width != server.getWidth() || plan.height != server.getHeight())
    throw new IllegalStateException("The file has ${plan.width} x ${plan.height} pixels, but QuPath shows " +
        "${server.getWidth()} x ${server.getHeight()}. For one of several scenes, add '--scene', 'NAME' to the options.")

def found = []
results.listFiles().findAll { it.getName() ==~ /nuclei(-\d+)?\.geojson\.gz/ }.sort().each { file ->
    new GZIPInputStream(new FileInputStream(file)).withCloseable { found.addAll(PathIO.readObjectsFromGeoJSON(it)) }
}

// Earlier nuclei make room: all of them, or those with their centre in a selected annotation.
def earlier = getDetectionObjects().findAll { object ->
    def roi = object.getROI()
    object.getPathClass() == getPathClass('Nucleus') &&
        (areas.isEmpty() || areas.any { it.getROI().contains(roi.getCentroidX(), roi.getCentroidY()) })
}
removeObjects(earlier, true)
addObjects(found)
resolveHierarchy()
fireHierarchyUpdate()
println "${found.size()} nuclei added, ${earlier.size()} earlier ones removed. Results: ${results}"
